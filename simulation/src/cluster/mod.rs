//! The cluster level: the production trees of a coordinator and its workers, over the production
//! transport with real QUIC and TLS, in one thread of virtual time.
//!
//! Every seam is filled: the network, the disks, the mirror, the builders, clocks and randomness.
//! A process ends when its [`world::ProcessScope`] does: from then on its seams do nothing, its
//! actors are killed, and its tasks end with the endpoint.

mod blobs;
mod builder;
mod coordinator;
mod crypto;
mod ctl;
mod datagrams;
mod director;
mod disk;
mod ending;
mod event;
mod hostile;
mod machine;
mod mirror;
mod network;
mod observed_queue;
mod options;
mod property;
mod random_stream;
mod recorder;
mod run;
mod spool;
mod store;
mod time;
mod trouble;
mod worker;
mod world;

use crate::level::Simulator;
use crate::plan::Level;
use options::{MINUTES, Options, WORKERS_MAX};
use trouble::Trouble;

/// How the command runs this level.
pub const SIMULATOR: Simulator = Simulator {
    level: Level::Cluster,
    workers_max: WORKERS_MAX,
    length_max: 10_000,
    length_usual: MINUTES,
    faults: || Trouble::ALL.iter().map(|fault| (fault.name(), fault.about())).collect(),
    drawn: |plan| Options::draw(plan).faults.iter().map(|fault| fault.name().into()).collect(),
    run: run::run,
};

#[cfg(test)]
mod cluster_test;
#[cfg(test)]
mod conformance_test;
