//! The simulation's models do what every implementation of their ports must.

use std::sync::{Arc, Mutex};

use rebuilder_actors::conformance;
use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::port::Store;

use super::blobs::{BlobDisk, SimulatedBlobs};
use super::disk::SimulatedDisk;
use super::machine::Machine;
use super::observed_queue::Ledger;
use super::options::Options;
use super::store::{SimulatedStore, StoreDisk};
use super::world::{Cluster, Node};
use crate::plan::{Level, Plan};

/// A world without trouble, and the disk of one process in it.
fn world() -> (Arc<Cluster>, Arc<SimulatedDisk>) {
    let plan = Plan { faults: Some(Vec::new()), ..Plan::of(Level::Cluster, 1) };
    let (world, _) = Cluster::new(&plan, Options::draw(&plan), Settings::default());
    let mut machine = Machine::new(&world, Node::Coordinator);
    let scope = machine.begin();
    let disk = SimulatedDisk::new(&world, &scope, &machine.full);
    (world, disk)
}

/// Opens one store of a world of its own.
fn store() -> (Arc<Cluster>, impl FnMut() -> Box<dyn Store>) {
    let (world, disk) = world();
    let (kept, ledger) = (Arc::<Mutex<StoreDisk>>::default(), Ledger::new(&world));
    (world, move || Box::new(SimulatedStore::open(&kept, &disk, &ledger).unwrap()))
}

#[tokio::test(start_paused = true)]
async fn the_store_has_readers_and_one_owner() {
    let (world, mut open) = store();
    conformance::store_readers(&mut open);
    assert!(!world.has_failed(), "a property was broken");
    let (world, mut open) = store();
    conformance::store_fences(&mut open, true);
    assert!(!world.has_failed(), "a property was broken");
}

#[tokio::test(start_paused = true)]
async fn the_blobs_are_parts_and_contents() {
    let (world, disk) = world();
    let kept = Arc::<Mutex<BlobDisk>>::default();
    conformance::parts(&mut || Box::new(SimulatedBlobs::of(&kept, &disk)));
    conformance::contents(&mut || Box::new(SimulatedBlobs::of(&kept, &disk)));
    assert!(!world.has_failed(), "a property was broken");
}
