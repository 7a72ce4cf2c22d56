//! Peers that mean no good: strangers that take all places, workers that do not read, or that send
//! statuses without end.

use core::time::Duration;
use std::sync::Arc;

use rebuilder_actors::port::{Connection, FrameReceive, FrameSend, Network};
use rebuilder_actors::protocol::wire::EXPORTER;
use rebuilder_actors::protocol::wire::v1::coordinator::Message as FromCoordinator;
use rebuilder_actors::protocol::wire::v1::worker::{Message, Running, Status};
use rebuilder_actors::protocol::wire::{
    self, CONTROL_FRAME_BYTES_MAX, Enrolment, EnrolmentKind, Hello, Offer, Role, SOFTWARE,
    enrolment_proof,
};
use rebuilder_actors::protocol::{AttemptId, Epoch, GrantNumber, InputId, PublicKey, Stage};
use rebuilder_transport::Limits;
use tokio::task::JoinSet;

use super::coordinator;
use super::event::ClusterEvent;
use super::machine::Machine;
use super::network::SimulatedNetwork;
use super::random_stream::RandomStream;
use super::trouble::Trouble;
use super::worker::SIGNUP_SECRET;
use super::world::{Cluster, Node, ProcessScope};

/// Hostile workers of a world.
pub(super) const WORKERS: usize = 2;
/// Connections of one stranger's key.
const CONNECTIONS: usize = 8;
/// A frame that is not taken for so long is not waited for: the peer goes on with something else.
const PATIENCE: Duration = Duration::from_secs(20);
/// Attempts that a hostile worker tells of.
const ATTEMPTS: i32 = 20;
/// Bytes that the way to a worker that does not read takes.
const DEAF_WINDOW: u32 = 2 << 10;

/// Starts those that the seed drew; they end when everything heals.
pub(super) fn begin(
    world: &Arc<Cluster>,
    network: &Arc<SimulatedNetwork>,
    coordinator: PublicKey,
    tasks: &mut JoinSet<()>,
) {
    let peer = |number, limits| Hostile::new(world, network, number, coordinator, limits);
    if world.has(Trouble::DeafWorkers) {
        let limits = Limits {
            stream_window: DEAF_WINDOW,
            connection_window: DEAF_WINDOW,
            keep_alive: Some(Duration::from_secs(10)),
            ..Limits::default()
        };
        tasks.spawn(peer(0, limits).deaf());
    }
    if world.has(Trouble::StatusFloods) {
        tasks.spawn(peer(1, Limits::default()).flood());
    }
    if world.has(Trouble::Strangers) {
        let limits = Limits { keep_alive: Some(Duration::from_secs(10)), ..Limits::default() };
        for number in 0..world.options.places().places.div_ceil(CONNECTIONS) {
            tasks.spawn(peer(WORKERS + number, limits.clone()).crowd());
        }
    }
}

struct Hostile {
    world: Arc<Cluster>,
    machine: Machine,
    number: usize,
    coordinator: PublicKey,
    scope: Arc<ProcessScope>,
    network: Arc<dyn Network>,
    random: RandomStream,
    connections: u64,
}

/// A connection with its control stream.
struct Inside {
    connection: Box<dyn Connection>,
    sender: Box<dyn FrameSend>,
    receiver: Box<dyn FrameReceive>,
}

impl Hostile {
    fn new(
        world: &Arc<Cluster>,
        network: &Arc<SimulatedNetwork>,
        number: usize,
        coordinator: PublicKey,
        limits: Limits,
    ) -> Self {
        let node = Node::Hostile(number);
        let mut machine = Machine::new(world, node);
        let scope = machine.begin();
        let address = Machine::address(node, machine.ephemeral());
        let endpoint = machine.endpoint_with(world, network, &scope, address, (false, limits));
        Self {
            world: world.clone(),
            random: world.random(&format!("habits of {node}")),
            machine,
            number,
            coordinator,
            scope,
            network: Arc::new(endpoint.expect("a simulated socket can be used")),
            connections: 0,
        }
    }

    /// Takes as many places as one key can have, and keeps them until they are taken from it.
    async fn crowd(mut self) {
        while self.world.has(Trouble::Strangers) {
            let mut taken = Vec::new();
            for _ in 0..CONNECTIONS {
                let inside = tokio::time::timeout(PATIENCE, self.greet(Role::Ctl)).await;
                if let Ok(Some(inside)) = inside {
                    taken.push(inside);
                }
            }
            self.world.line(self.machine.node, || format!("has {} places", taken.len()));
            for Inside { connection, sender, receiver } in taken {
                connection.closed().await;
                drop((sender, receiver));
            }
            let pause = self.random.of(20_000..600_000);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Tells of attempts that it does not have, in turns with none, and never reads the orders.
    async fn deaf(mut self) {
        while self.world.has(Trouble::DeafWorkers) {
            let role = self.worker();
            if let Ok(Some(mut inside)) = tokio::time::timeout(PATIENCE, self.greet(role)).await {
                self.keep_deaf(&mut inside).await;
            }
            let pause = self.random.of(60_000..600_000);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn keep_deaf(&mut self, inside: &mut Inside) {
        let began = self.world.age();
        for turn in 0.. {
            let frame = status(if turn % 2 == 0 { ATTEMPTS } else { 0 });
            let sent = tokio::time::timeout(PATIENCE, inside.sender.send(frame)).await;
            let pause = Duration::from_millis(250);
            let closed = tokio::time::timeout(pause, inside.connection.closed()).await;
            if matches!(sent, Ok(Err(_))) || closed.is_ok() || !self.world.in_trouble() {
                return;
            }
            self.world.see_often(&ClusterEvent::StillThere(self.world.age() - began));
        }
    }

    /// Sends statuses for some seconds as fast as it can, always of the same attempts.
    async fn flood(mut self) {
        while self.world.has(Trouble::StatusFloods) {
            let role = self.worker();
            if let Ok(Some(inside)) = tokio::time::timeout(PATIENCE, self.greet(role)).await {
                self.keep_flooding(inside).await;
            }
            let pause = self.random.of(60_000..600_000);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn keep_flooding(&mut self, inside: Inside) {
        let Inside { connection, mut sender, mut receiver } = inside;
        let frame = status(ATTEMPTS);
        for _ in 0..400 {
            let sent = tokio::time::timeout(PATIENCE, sender.send(frame.clone())).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
            let step = Duration::from_millis(20);
            while let Ok(received) = tokio::time::timeout(step, receiver.receive()).await {
                let Ok(Some(frame)) = received else { return };
                if let Ok(FromCoordinator::Cancel { attempt, .. }) = wire::decode(&frame) {
                    let event = ClusterEvent::ToldToStop(self.number, self.connections, attempt);
                    self.world.see_often(&event);
                }
            }
        }
        drop(connection);
    }

    /// A worker that knows the secret and can build nothing that there is.
    fn worker(&self) -> Role {
        let offer = Offer {
            name: format!("hostile-{}", self.number),
            backends: vec!["none".into()],
            architectures: vec!["*".into()],
            tags: Vec::new(),
            slots: 256,
        };
        Role::Worker { offer, enrolment: None }
    }

    /// Connects and says hello; `None`: it is not let in.
    async fn greet(&mut self, mut role: Role) -> Option<Inside> {
        let address = coordinator::address().to_string();
        let connection = self.network.connect(&address, Some(self.coordinator)).await.ok()?;
        self.connections += 1;
        if let Role::Worker { enrolment, .. } = &mut role {
            let (exporter, own) =
                (connection.exporter(EXPORTER, b""), self.machine.identity.public_key());
            let proof =
                enrolment_proof(SIGNUP_SECRET, &exporter, "worker", &own, &self.coordinator);
            *enrolment = Some(Enrolment { kind: EnrolmentKind::SignupSecret, proof });
        }
        let hello = Hello {
            version_min: wire::VERSION_MIN,
            version_max: wire::VERSION_MAX,
            software: SOFTWARE.into(),
            boot: self.machine.boot(&self.world, &self.scope),
            role,
        };
        let (mut sender, mut receiver) = connection.open(CONTROL_FRAME_BYTES_MAX).await.ok()?;
        sender.send(wire::encode(&hello)).await.ok()?;
        receiver.receive().await.ok()??;
        Some(Inside { connection, sender, receiver })
    }
}

fn status(attempts: i32) -> bytes::Bytes {
    let running = (0..attempts).map(|n| Running {
        attempt: AttemptId { job: InputId(900_000 + n), epoch: Epoch(1) },
        stage: Stage::Build,
        log_bytes: 0,
    });
    wire::encode(&Message::Status(Status {
        seen: GrantNumber(0),
        running: running.collect(),
        spooled: Vec::new(),
        free_memory: 0,
        free_disk: 0,
    }))
}
