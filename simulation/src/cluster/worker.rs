//! A worker's machine and its processes.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use ractor::{Actor as _, ActorRef};
use rebuilder_actors::actor::TreeEnd;
use rebuilder_actors::actor::worker::{Credentials, Message, Parts, Secret, Worker};
use rebuilder_actors::port::{Clock, CloseReason, Network};
use rebuilder_actors::protocol::PublicKey;
use rebuilder_actors::protocol::wire::v1::worker::{Capabilities, Condition};
use rebuilder_actors::protocol::wire::{EnrolmentKind, Offer};
use tokio::sync::oneshot;

use super::blobs::{BlobDisk, SimulatedBlobs};
use super::builder::{Builder, BuilderProfile};
use super::coordinator;
use super::disk::{Later, SimulatedDisk};
use super::machine::{Machine, kill};
use super::network::SimulatedNetwork;
use super::recorder::{RecordedNetwork, Subject};
use super::spool::{SimulatedSpool, SpoolDisk};
use super::time::ProcessClock;
use super::world::{Call, Cluster, Node, ProcessScope, lock};
use crate::observation::Observation;

/// Shared by the coordinator and the workers that are not listed.
pub(super) const SIGNUP_SECRET: &[u8] = b"a secret of the simulated distribution";

const GIB: u64 = 1 << 30;

/// The machine: what survives its processes.
pub(super) struct WorkerNode {
    world: Arc<Cluster>,
    network: Arc<SimulatedNetwork>,
    pub(super) machine: Machine,
    pub(super) number: usize,
    pub(super) spool: Arc<Mutex<SpoolDisk>>,
    pub(super) logs: Arc<Mutex<BlobDisk>>,
    /// The coordinator's key, once it is proved.
    pin: Arc<Mutex<Option<PublicKey>>>,
    offer: Offer,
    memory: u64,
    profile: BuilderProfile,
    process: Option<Process>,
}

struct Process {
    scope: Arc<ProcessScope>,
    tree: ActorRef<Message>,
    network: Arc<dyn Network>,
    port: u16,
}

/// Workers whose keys are listed; the others prove that they know the secret.
pub(super) fn is_listed(number: usize) -> bool {
    number.is_multiple_of(3)
}

impl WorkerNode {
    pub(super) fn new(
        world: &Arc<Cluster>,
        network: &Arc<SimulatedNetwork>,
        number: usize,
        machine: Machine,
    ) -> Self {
        let mut random = world.random(&format!("worker {number}"));
        // The first ones can build everything, so that all work can be finished.
        let first = number < 2;
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let offer = Offer {
            name: format!("worker-{number}"),
            backends: words(&["debian"]),
            architectures: words(match random.of(0..3) {
                _ if first => &["*"],
                0 => &["amd64"],
                1 => &["x86_64", "arm64"],
                _ => &["*"],
            }),
            tags: Vec::new(),
            slots: u16::try_from(random.of(1..world.options.slots_max + 1)).unwrap_or(1),
        };
        let memory = if first { 64 * GIB } else { random.of(1..32) * GIB };
        let profile = BuilderProfile::draw(&mut random, number);
        Self {
            world: world.clone(),
            network: network.clone(),
            machine,
            number,
            spool: Arc::default(),
            logs: Arc::default(),
            pin: Arc::default(),
            offer,
            memory,
            profile,
            process: None,
        }
    }

    /// Whom this worker trusts before it ever connected.
    pub(super) fn knows(&self, coordinator: PublicKey) {
        *lock(&self.pin) = Some(coordinator);
    }

    /// The process that runs now; `None`: none does.
    pub(super) fn process(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.scope.number)
    }

    /// A process begins, as `node/src/role` begins it.
    pub(super) async fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let scope = self.machine.begin();
        let node = scope.node;
        self.world.event(node, &format!("process {} begins", scope.number));
        let port = self.machine.ephemeral();
        let address = Machine::address(node, port);
        let endpoint = self.machine.endpoint(&self.world, &self.network, &scope, address, false);
        let endpoint: Arc<dyn Network> =
            Arc::new(endpoint.expect("a simulated socket can be used"));
        let parts = self.parts(&scope, endpoint.clone());
        self.world.set_process(self.number, Some(parts.credentials.boot));
        let (end, ended) = oneshot::channel();
        let started = Worker::spawn(None, Worker, (parts, end)).await;
        let (world, number) = (self.world.clone(), scope.number);
        match started {
            Ok((tree, _)) => {
                self.process = Some(Process { scope, tree, network: endpoint, port });
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
                    world.call(Call::Ended(node, number, reason));
                });
            }
            Err(error) => {
                scope.end();
                self.world.set_process(self.number, None);
                self.network.unbind(address);
                world.call(Call::Ended(node, number, error.to_string()));
            }
        }
    }

    fn parts(&self, scope: &Arc<ProcessScope>, endpoint: Arc<dyn Network>) -> Parts {
        let world = &self.world;
        let disk = SimulatedDisk::new(world, scope, &self.machine.full);
        let clock: Arc<dyn Clock> = Arc::new(ProcessClock::new(self.machine.clock.clone()));
        let key = self.machine.identity.public_key();
        let (spool, logs) = (self.spool.clone(), self.logs.clone());
        let (spool_world, spool_disk) = (world.clone(), disk.clone());
        let (logs_disk, worker) = (disk.clone(), (self.number, key));
        let (memory, honest) = (self.memory, self.profile.is_honest(world));
        Parts {
            spool: Arc::new(move || {
                let (world, kept) = (spool_world.clone(), spool.clone());
                let disk = spool_disk.clone();
                Ok(Box::new(SimulatedSpool { world, kept, disk, worker, honest }))
            }),
            logs: Arc::new(move || Ok(Box::new(SimulatedBlobs::of(&logs, &logs_disk)))),
            blocking: Arc::new(Later(disk)),
            clock: clock.clone(),
            signer: Arc::new(self.machine.identity.clone()),
            network: Arc::new(RecordedNetwork::new(
                endpoint,
                world,
                scope,
                Subject::Worker(self.number),
            )),
            credentials: self.credentials(scope, key),
            offer: self.offer.clone(),
            backend: Arc::new(Builder {
                world: world.clone(),
                scope: scope.clone(),
                clock,
                profile: self.profile.clone(),
            }),
            measure: Arc::new(move || (memory, 100 * GIB)),
            condition: Arc::new(Condition::default),
            capabilities: Capabilities::default(),
            log_bytes_max: 1 << 30,
        }
    }

    fn credentials(&self, scope: &Arc<ProcessScope>, own: PublicKey) -> Credentials {
        let (kind, key) = (EnrolmentKind::SignupSecret, SIGNUP_SECRET.to_vec());
        let pin = self.pin.clone();
        Credentials {
            address: coordinator::address().to_string(),
            pin: *lock(&self.pin),
            secret: (!is_listed(self.number)).then_some(Secret { kind, key }),
            own,
            boot: self.machine.boot(&self.world, scope),
            remember: Arc::new(move |key| *lock(&pin) = Some(key)),
        }
    }

    /// The process ends at once, and with it everything that was its own. True when there was one.
    pub(super) fn crash(&mut self, why: &str) -> bool {
        let Some(process) = self.process.take() else { return false };
        let Process { scope, tree, port, .. } = process;
        let node = scope.node;
        self.world.event(node, &format!("process {} is gone: {why}", scope.number));
        scope.end();
        self.world.set_process(self.number, None);
        kill(&tree.get_cell());
        self.network.unbind(Machine::address(node, port));
        let mut random = self.world.random(&format!("power cut {node} {}", scope.number));
        lock(&self.spool).power_cut(&mut random);
        lock(&self.logs).power_cut(&mut random);
        self.world.observe(&Observation::WorkerCrashed(self.number));
        true
    }

    /// Asks the process to end in order; it is told of as every end.
    pub(super) fn stop(&self) {
        let Some(Process { scope, tree, network, .. }) = &self.process else { return };
        let (world, node, number) = (self.world.clone(), scope.node, scope.number);
        let (tree, network) = (tree.clone(), network.clone());
        world.event(node, "is stopped");
        let scope = scope.clone();
        tokio::spawn(async move {
            if tree.cast(Message::Stop).is_ok() {
                let _ = tree.wait(Some(Duration::from_secs(20))).await;
            }
            let text = "the worker stops".to_owned();
            scope.run(network.close(CloseReason { code: 0, text })).await;
            world.call(Call::Ended(node, number, "stopped".into()));
        });
    }
}

/// Which worker a node is; `None`: it is none.
pub(super) fn number(node: Node) -> Option<usize> {
    if let Node::Worker(number) = node { Some(number) } else { None }
}
