//! What every node has: an address, a key, clocks, a disk that may be full, and processes one after
//! the other.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ractor::ActorCell;
use rebuilder_actors::port::Entropy;
use rebuilder_actors::protocol::wire::BootId;
use rebuilder_transport::{EndpointError, EndpointParts, Identity, Limits, Quic};

use super::crypto;
use super::network::SimulatedNetwork;
use super::random_stream::RandomStream;
use super::time::{MachineClock, VirtualTime};
use super::world::{Cluster, Node, ProcessScope, lock};

/// One machine, whatever runs on it.
pub(super) struct Machine {
    pub(super) node: Node,
    pub(super) identity: Identity,
    pub(super) clock: Arc<MachineClock>,
    /// No space is left on its disk.
    pub(super) full: Arc<AtomicBool>,
    /// Processes so far.
    processes: u32,
}

impl Machine {
    pub(super) fn new(world: &Cluster, node: Node) -> Self {
        let mut random = world.random(&format!("machine {node}"));
        let mut machine = Self {
            node,
            identity: Identity::from_seed(random.bytes()),
            clock: MachineClock::new(world.zero()),
            full: Arc::default(),
            processes: 0,
        };
        if world.has(super::trouble::Trouble::ClockSkew) {
            machine.skew(&mut random);
        }
        machine
    }

    fn skew(&mut self, random: &mut RandomStream) {
        let ppm = i64::try_from(random.of(0..2000)).unwrap_or(0) - 1000;
        self.clock.set_drift(ppm);
        let offset = i64::try_from(random.of(0..1_200_000)).unwrap_or(0) - 600_000;
        self.clock.set_offset(offset);
    }

    /// The disk and the clocks are as they should be again; the drift from the next process on.
    pub(super) fn heal(&self) {
        self.full.store(false, Ordering::Relaxed);
        self.clock.set_drift(0);
        self.clock.set_offset(0);
    }

    /// A process begins.
    pub(super) fn begin(&mut self) -> Arc<ProcessScope> {
        self.processes += 1;
        ProcessScope::begin(self.node, self.processes)
    }

    /// Where the machine is.
    pub(super) fn address(node: Node, port: u16) -> SocketAddr {
        let (network, host) = match node {
            Node::Cluster | Node::Coordinator => (0, 1),
            Node::Worker(number) => (1, number + 1),
            Node::Ctl(number) => (2, number + 1),
            Node::Hostile(number) => (3, number + 1),
        };
        SocketAddr::from(([10, 0, network, u8::try_from(host).unwrap_or(u8::MAX)], port))
    }

    /// A port for a process that only connects: each has another one.
    pub(super) fn ephemeral(&self) -> u16 {
        40_000 + u16::try_from(self.processes).unwrap_or(0)
    }

    /// The production endpoint on the simulated network.
    pub(super) fn endpoint(
        &self,
        world: &Cluster,
        network: &Arc<SimulatedNetwork>,
        scope: &Arc<ProcessScope>,
        address: SocketAddr,
        accept: bool,
    ) -> Result<Quic, EndpointError> {
        self.endpoint_with(world, network, scope, address, (accept, Limits::default()))
    }

    /// The same with other limits.
    pub(super) fn endpoint_with(
        &self,
        world: &Cluster,
        network: &Arc<SimulatedNetwork>,
        scope: &Arc<ProcessScope>,
        address: SocketAddr,
        (accept, limits): (bool, Limits),
    ) -> Result<Quic, EndpointError> {
        let ProcessScope { node, number, .. } = &**scope;
        let seed = world.random(&format!("endpoint of {node} {number}")).bytes();
        Quic::new(EndpointParts {
            socket: network.bind(address, scope.clone()),
            runtime: Arc::new(VirtualTime),
            identity: self.identity.clone(),
            seed,
            crypto: crypto::provider(),
            time: self.clock.clone(),
            resolver: None,
            accept,
            limits,
        })
    }

    /// Another one for each process.
    pub(super) fn boot(&self, world: &Cluster, scope: &ProcessScope) -> BootId {
        let mut boot = [0; 16];
        world.random(&format!("boot of {} {}", scope.node, scope.number)).fill(&mut boot);
        BootId(boot)
    }
}

/// Randomness of one process.
pub(super) struct Seeded(Mutex<RandomStream>);

impl Seeded {
    pub(super) fn new(world: &Cluster, scope: &ProcessScope) -> Self {
        Self(Mutex::new(world.random(&format!("entropy of {} {}", scope.node, scope.number))))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        lock(&self.0).fill(bytes);
    }
}

/// Kills an actor and all below it, in the order in which they were started: ractor's own order is
/// another one in every process.
pub(super) fn kill(root: &ActorCell) {
    let mut cells = vec![root.clone()];
    let mut at = 0;
    while let Some(cell) = cells.get(at) {
        let mut children = cell.get_children();
        children.sort_by_key(|child| child.get_id().pid());
        cells.extend(children);
        at += 1;
    }
    cells.iter().for_each(ActorCell::kill);
}
