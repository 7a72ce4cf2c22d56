//! Clients of operators and readers, over the production transport.

use core::time::Duration;
use std::sync::Arc;

use rebuilder_actors::port::{CloseReason, Connection, Network};
use rebuilder_actors::protocol::PublicKey;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request, Response};
use rebuilder_actors::protocol::wire::{
    self, CHUNK_FRAME_BYTES_MAX, CONTROL_FRAME_BYTES_MAX, Hello, Role, SOFTWARE, Welcome,
};

use super::coordinator;
use super::machine::Machine;
use super::mirror::{Distribution, PROFILES};
use super::network::SimulatedNetwork;
use super::random_stream::RandomStream;
use super::trouble::Trouble;
use super::world::{Cluster, Node, ProcessScope};

/// Longest wait for the whole answer to a question.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for a stream of a burst.
const OPENING: Duration = Duration::from_millis(500);
/// Bytes of one answer that are read; the rest is left.
const ANSWER_FRAMES_MAX: usize = 10_000;

/// One client.
pub(super) struct Client {
    world: Arc<Cluster>,
    machine: Machine,
    coordinator: PublicKey,
    scope: Arc<ProcessScope>,
    network: Arc<dyn Network>,
    connection: Option<Box<dyn Connection>>,
}

impl Client {
    pub(super) fn new(
        world: &Arc<Cluster>,
        network: &Arc<SimulatedNetwork>,
        mut machine: Machine,
        coordinator: PublicKey,
    ) -> Self {
        let scope = machine.begin();
        let address = Machine::address(machine.node, machine.ephemeral());
        let network = machine.endpoint(world, network, &scope, address, false);
        let network = Arc::new(network.expect("a simulated socket can be used"));
        Self { world: world.clone(), machine, coordinator, scope, network, connection: None }
    }

    pub(super) fn node(&self) -> Node {
        self.machine.node
    }

    /// Asks one question and reads the whole answer; twice, where a connection ended meanwhile.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Vec<Response>, String> {
        let connected = self.connection.is_some();
        let answer = self.ask_once(request).await;
        if answer.is_err() && connected { self.ask_once(request).await } else { answer }
    }

    async fn ask_once(&mut self, request: &Request) -> Result<Vec<Response>, String> {
        let asked = tokio::time::timeout(PATIENCE, self.try_ask(request)).await;
        let answer = asked.unwrap_or_else(|_| Err("no answer".into()));
        if answer.is_err()
            && let Some(connection) = self.connection.take()
        {
            connection.close(CloseReason { code: 0, text: "no answer".into() });
        }
        answer
    }

    async fn try_ask(&mut self, request: &Request) -> Result<Vec<Response>, String> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let connection = self.connection.insert(connection);
        let text = |error: &dyn core::fmt::Display| error.to_string();
        let (mut sender, mut receiver) =
            connection.open(CHUNK_FRAME_BYTES_MAX).await.map_err(|e| text(&e))?;
        sender.send(wire::encode(request)).await.map_err(|e| text(&e))?;
        let _ = sender.finish();
        let mut answer = Vec::new();
        while let Some(frame) = receiver.receive().await.map_err(|e| text(&e))? {
            answer.push(wire::decode(&frame).map_err(|e| text(&e))?);
            if answer.len() > ANSWER_FRAMES_MAX {
                return Err("the answer has no end".into());
            }
        }
        Ok(answer)
    }

    /// Asks many things at once and reads nothing.
    async fn burst(&mut self, random: &mut RandomStream, names: &[String]) {
        let Ok(Ok(connection)) = tokio::time::timeout(PATIENCE, self.connect()).await else {
            return;
        };
        let (mut kept, count) = (Vec::new(), random.count(10..60));
        for _ in 0..count {
            let opened = connection.open(CHUNK_FRAME_BYTES_MAX);
            let Ok(Ok((mut sender, receiver))) = tokio::time::timeout(OPENING, opened).await else {
                break;
            };
            let request = question(random, names);
            // One in ten is never asked to its end.
            if random.percent(90) {
                let _ = tokio::time::timeout(OPENING, sender.send(wire::encode(&request))).await;
                let _ = sender.finish();
            }
            kept.push((sender, receiver));
        }
        self.world.line(self.machine.node, || format!("asks {} things and reads none", kept.len()));
        tokio::time::sleep(Duration::from_millis(random.of(0..20_000))).await;
        if random.percent(50) {
            drop(kept);
            tokio::time::sleep(Duration::from_millis(random.of(0..2_000))).await;
        }
        connection.close(CloseReason { code: 0, text: "enough".into() });
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, String> {
        let address = coordinator::address().to_string();
        let connection = self.network.connect(&address, Some(self.coordinator)).await;
        let connection = connection.map_err(|error| error.to_string())?;
        let hello = Hello {
            version_min: wire::VERSION_MIN,
            version_max: wire::VERSION_MAX,
            software: SOFTWARE.into(),
            boot: self.machine.boot(&self.world, &self.scope),
            role: Role::Ctl,
        };
        let streams = connection.open(CONTROL_FRAME_BYTES_MAX).await;
        let (mut sender, mut receiver) = streams.map_err(|error| error.to_string())?;
        sender.send(wire::encode(&hello)).await.map_err(|error| error.to_string())?;
        let frame = receiver.receive().await.map_err(|error| error.to_string())?;
        let _: Welcome = wire::decode(&frame.ok_or("no welcome")?).map_err(|e| e.to_string())?;
        Ok(connection)
    }
}

/// Asks and orders now and then, until its task ends.
pub(super) async fn live(
    mut client: Client,
    world: Arc<Cluster>,
    distribution: Arc<Distribution>,
    admin: bool,
) {
    let mut random = world.random(&format!("habits of {}", client.machine.node));
    let names = distribution.names();
    loop {
        tokio::time::sleep(Duration::from_millis(random.of(1000..180_000))).await;
        if !admin && world.has(Trouble::Bursts) && random.percent(50) {
            client.burst(&mut random, &names).await;
            continue;
        }
        let orders = admin && world.has(Trouble::Operators);
        let request = if orders && random.percent(70) {
            order(&mut random, &names)
        } else {
            question(&mut random, &names)
        };
        let answer = client.ask(&request).await;
        world.line(client.machine.node, || match &answer {
            Ok(rows) => format!("{request:?}: {} rows", rows.len()),
            Err(error) => format!("{request:?}: {error}"),
        });
    }
}

fn filter(random: &mut RandomStream, names: &[String]) -> PackageFilter {
    PackageFilter { name: Some(random.pick(names).clone()), ..PackageFilter::default() }
}

fn order(random: &mut RandomStream, names: &[String]) -> Request {
    match random.of(0..10) {
        0..5 => Request::QueuePush { filter: filter(random, names), priority: 0 },
        5 | 6 => Request::QueueDrop { filter: filter(random, names) },
        7 | 8 => Request::SyncRun { profile: (*random.pick(&PROFILES)).into() },
        _ => Request::Invite { ttl_secs: 600 },
    }
}

fn question(random: &mut RandomStream, names: &[String]) -> Request {
    match random.of(0..10) {
        0 | 1 => Request::Status,
        2 => Request::Workers,
        3 => Request::Profiles,
        4 => Request::Packages(PackageFilter::default()),
        5 => Request::Queue { planned: true, limit: None },
        6 => Request::Attestation { filter: filter(random, names) },
        7 => Request::Difference { filter: filter(random, names) },
        8 => Request::Log { filter: filter(random, names), follow: false },
        _ => Request::Log { filter: filter(random, names), follow: true },
    }
}
