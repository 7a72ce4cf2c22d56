//! The coordinator's machine and its processes.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use ractor::{Actor as _, ActorRef};
use rebuilder_actors::actor::TreeEnd;
use rebuilder_actors::actor::coordinator::syncs::Profile;
use rebuilder_actors::actor::coordinator::{Coordinator, Message, Parts};
use rebuilder_actors::port::{CloseReason, Network};
use rebuilder_actors::protocol::PublicKey;
use tokio::sync::oneshot;

use super::blobs::{BlobDisk, SimulatedBlobs};
use super::disk::{Later, SimulatedDisk};
use super::event::ClusterEvent;
use super::machine::{Machine, Seeded, kill};
use super::mirror::{Distribution, Mirror, PROFILES};
use super::network::SimulatedNetwork;
use super::observed_queue::{Ledger, wrap};
use super::recorder::{RecordedNetwork, Subject};
use super::store::{SimulatedStore, StoreDisk};
use super::time::ProcessClock;
use super::world::{Call, Cluster, Node, ProcessScope, lock};
use crate::observation::Observation;

/// Its port, as in production.
const PORT: u16 = 7400;

/// Where it listens.
pub(super) fn address() -> SocketAddr {
    Machine::address(Node::Coordinator, PORT)
}

/// The machine: what survives its processes.
pub(super) struct CoordinatorNode {
    world: Arc<Cluster>,
    network: Arc<SimulatedNetwork>,
    pub(super) machine: Machine,
    pub(super) store: Arc<Mutex<StoreDisk>>,
    pub(super) blobs: Arc<Mutex<BlobDisk>>,
    distribution: Arc<Distribution>,
    workers: Arc<BTreeMap<PublicKey, usize>>,
    admins: BTreeSet<PublicKey>,
    process: Option<Process>,
}

struct Process {
    scope: Arc<ProcessScope>,
    tree: ActorRef<Message>,
    network: Arc<dyn Network>,
}

impl CoordinatorNode {
    pub(super) fn new(
        world: &Arc<Cluster>,
        network: &Arc<SimulatedNetwork>,
        distribution: &Arc<Distribution>,
        machine: Machine,
        workers: BTreeMap<PublicKey, usize>,
        admins: BTreeSet<PublicKey>,
    ) -> Self {
        Self {
            world: world.clone(),
            network: network.clone(),
            machine,
            store: Arc::default(),
            blobs: Arc::default(),
            distribution: distribution.clone(),
            workers: Arc::new(workers),
            admins,
            process: None,
        }
    }

    /// The process that runs now; `None`: none does.
    pub(super) fn number(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.scope.number)
    }

    /// A process begins, as `node/src/role` begins it.
    pub(super) async fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let scope = self.machine.begin();
        self.world.event(scope.node, &format!("process {} begins", scope.number));
        let endpoint = self.machine.endpoint(&self.world, &self.network, &scope, address(), true);
        let endpoint: Arc<dyn Network> =
            Arc::new(endpoint.expect("a simulated socket can be listened on"));
        let parts = self.parts(&scope, endpoint.clone());
        let (end, ended) = oneshot::channel();
        let started = Coordinator::spawn(None, Coordinator, (parts, end)).await;
        let (world, number) = (self.world.clone(), scope.number);
        match started {
            Ok((tree, _)) => {
                self.process = Some(Process { scope, tree, network: endpoint });
                tokio::spawn(async move {
                    let reason = match ended.await {
                        Ok(
                            TreeEnd::GaveUp { reason }
                            | TreeEnd::Damaged { reason }
                            | TreeEnd::TakenOver { reason },
                        ) => reason,
                        Ok(TreeEnd::Refused { reason }) => reason.to_string(),
                        Ok(TreeEnd::Stopped) => "stopped".into(),
                        Err(_) => return,
                    };
                    world.call(Call::Ended(Node::Coordinator, number, reason));
                });
            }
            Err(error) => {
                scope.end();
                self.network.unbind(address());
                world.call(Call::Ended(Node::Coordinator, number, error.to_string()));
            }
        }
    }

    fn parts(&self, scope: &Arc<ProcessScope>, endpoint: Arc<dyn Network>) -> Parts {
        let world = &self.world;
        let disk = SimulatedDisk::new(world, scope, &self.machine.full);
        let ledger = Ledger::new(world);
        let subject = Subject::Coordinator(self.workers.clone(), self.blobs.clone());
        let (store, blobs) = (self.store.clone(), self.blobs.clone());
        let (store_medium, blobs_medium) = (disk.clone(), disk.clone());
        let store_ledger = ledger.clone();
        Parts {
            store: Arc::new(move || {
                Ok(Box::new(SimulatedStore::open(&store, &store_medium, &store_ledger)?))
            }),
            blobs: Arc::new(move || Ok(Box::new(SimulatedBlobs::open(&blobs, &blobs_medium)))),
            blocking: Arc::new(Later(disk)),
            clock: Arc::new(ProcessClock::new(self.machine.clock.clone())),
            signer: Arc::new(self.machine.identity.clone()),
            entropy: Arc::new(Seeded::new(world, scope)),
            network: Arc::new(RecordedNetwork::new(endpoint, world, scope, subject)),
            settings: world.settings.clone(),
            admins: self.admins.clone(),
            places: world.options.places(),
            public_address: address().to_string(),
            profiles: (0..PROFILES.len()).map(|n| self.profile(scope, n)).collect(),
            verifying_max: 1,
            difference_bytes_max: 1 << 20,
            wrap: wrap(world, scope, &ledger, self.workers.clone()),
            boot: self.machine.boot(world, scope),
        }
    }

    fn profile(&self, scope: &Arc<ProcessScope>, profile: usize) -> Profile {
        let name = format!("mirror of {} {}", PROFILES[profile], scope.number);
        let mirror = Mirror {
            world: self.world.clone(),
            scope: scope.clone(),
            distribution: self.distribution.clone(),
            profile,
            random: Mutex::new(self.world.random(&name)),
        };
        Profile {
            name: PROFILES[profile].into(),
            distribution: "debian".into(),
            reader: Arc::new(mirror),
            interval: Duration::from_secs(self.world.options.sync_secs),
        }
    }

    /// The process ends at once, and with it everything that was its own. True when there was one.
    pub(super) fn crash(&mut self, why: &str) -> bool {
        let Some(process) = self.process.take() else { return false };
        let Process { scope, tree, .. } = process;
        self.world.event(scope.node, &format!("process {} is gone: {why}", scope.number));
        scope.end();
        kill(&tree.get_cell());
        self.network.unbind(address());
        let name = format!("power cut {} {}", scope.node, scope.number);
        let mut random = self.world.random(&name);
        lock(&self.store).power_cut();
        lock(&self.blobs).power_cut(&mut random);
        self.world.observe(&Observation::CoordinatorCrashed);
        true
    }

    /// Another process takes the store over, and is gone again.
    pub(super) fn taken_over(&self) {
        let fence = lock(&self.store).take_over();
        self.world.see(Node::Coordinator, &ClusterEvent::TookOver(fence.0));
    }

    /// Asks the process to end in order; it is told of as every end.
    pub(super) fn stop(&self) {
        let Some(Process { scope, tree, network }) = &self.process else { return };
        let (world, number) = (self.world.clone(), scope.number);
        let (tree, network) = (tree.clone(), network.clone());
        world.event(scope.node, "is stopped");
        let scope = scope.clone();
        tokio::spawn(async move {
            if tree.cast(Message::Stop).is_ok() {
                let _ = tree.wait(Some(Duration::from_secs(20))).await;
            }
            let text = "the coordinator stops".to_owned();
            scope.run(network.close(CloseReason { code: 0, text })).await;
            world.call(Call::Ended(Node::Coordinator, number, "stopped".into()));
        });
    }
}
