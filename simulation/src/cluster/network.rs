//! The network: every datagram between two nodes, in a storm or in good weather.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IoSliceMut};
use std::sync::{Arc, Mutex};

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::random_stream::RandomStream;
use super::trouble::Trouble;
use super::world::{Cluster, ProcessScope, lock};

/// Largest datagram that passes, bytes: an Ethernet frame's payload without IP and UDP.
const DATAGRAM_BYTES_MAX: usize = 1472;
/// Datagrams that wait for a socket's owner; further ones are lost.
const BUFFERED_MAX: usize = 4096;

/// The network between all nodes.
pub(super) struct SimulatedNetwork {
    world: Arc<Cluster>,
    state: Mutex<State>,
}

struct State {
    random: RandomStream,
    sockets: BTreeMap<SocketAddr, Inbox>,
    /// By arrival (milliseconds of the world's age) and order of departure.
    flying: BTreeMap<(u64, u64), Datagram>,
    departed: u64,
    /// When the pump looks again, milliseconds; `None`: when something departs.
    pump: (Option<u64>, Option<Waker>),
    /// Ways that nothing passes.
    blocked: BTreeSet<(IpAddr, IpAddr)>,
}

struct Inbox {
    /// Which of the sockets that had this address in turn.
    number: u64,
    arrived: VecDeque<Datagram>,
    waker: Option<Waker>,
}

#[derive(Clone)]
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    ecn: Option<EcnCodepoint>,
    bytes: Box<[u8]>,
}

impl SimulatedNetwork {
    pub(super) fn new(world: &Arc<Cluster>) -> Arc<Self> {
        let state = State {
            random: world.random("network"),
            sockets: BTreeMap::new(),
            flying: BTreeMap::new(),
            departed: 0,
            pump: (None, None),
            blocked: BTreeSet::new(),
        };
        let network = Arc::new(Self { world: world.clone(), state: Mutex::new(state) });
        tokio::spawn(pump(Arc::downgrade(&network)));
        network
    }

    /// A socket for one process.
    pub(super) fn bind(
        self: &Arc<Self>,
        address: SocketAddr,
        scope: Arc<ProcessScope>,
    ) -> Arc<Socket> {
        let mut state = lock(&self.state);
        state.departed += 1;
        let number = state.departed;
        let inbox = Inbox { number, arrived: VecDeque::new(), waker: None };
        state.sockets.insert(address, inbox);
        Arc::new(Socket { network: self.clone(), address, number, scope })
    }

    /// The socket's process is gone: its owner is told, and nothing arrives any more.
    pub(super) fn unbind(&self, address: SocketAddr) {
        let inbox = lock(&self.state).sockets.remove(&address);
        if let Some(waker) = inbox.and_then(|inbox| inbox.waker) {
            waker.wake();
        }
    }

    /// Lets nothing pass from one machine to another.
    pub(super) fn block(&self, from: IpAddr, to: IpAddr) {
        lock(&self.state).blocked.insert((from, to));
    }

    /// Lets everything pass again.
    pub(super) fn unblock(&self, from: IpAddr, to: IpAddr) {
        lock(&self.state).blocked.remove(&(from, to));
    }

    /// Good weather everywhere.
    pub(super) fn clear(&self) {
        lock(&self.state).blocked.clear();
    }

    fn send(&self, datagram: &Datagram) {
        self.world.datagram(number(datagram.from), number(datagram.to), &datagram.bytes);
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let way = (datagram.from.ip(), datagram.to.ip());
        if datagram.bytes.len() > DATAGRAM_BYTES_MAX || state.blocked.contains(&way) {
            return;
        }
        let options = &self.world.options;
        let random = &mut state.random;
        let chance = |random: &mut RandomStream, fault, percent| {
            self.world.has(fault) && random.percent(percent)
        };
        if chance(random, Trouble::Loss, options.loss_percent) {
            return;
        }
        let copies =
            if chance(random, Trouble::Duplicates, options.duplicates_percent) { 2 } else { 1 };
        for _ in 0..copies {
            let mut delay = options.latency_ms + random.of(0..options.jitter_ms);
            if chance(random, Trouble::Reordering, options.reordering_percent) {
                delay += random.of(0..300);
            }
            if chance(random, Trouble::Latency, options.late_percent) {
                delay += random.of(0..8000);
            } else if self.world.has(Trouble::Latency) {
                delay += random.of(0..200);
            }
            let at = millis(self.world.age()) + delay;
            state.departed += 1;
            state.flying.insert((at, state.departed), datagram.clone());
            if state.pump.0.is_none_or(|due| at < due)
                && let Some(waker) = state.pump.1.take()
            {
                waker.wake();
            }
        }
    }

    /// Delivers what is due; when to look again.
    fn deliver(&self, waker: &Waker) -> Option<u64> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let now = millis(self.world.age());
        while let Some(entry) = state.flying.first_entry().filter(|e| e.key().0 <= now) {
            let datagram = entry.remove();
            let Some(inbox) = state.sockets.get_mut(&datagram.to) else { continue };
            if inbox.arrived.len() < BUFFERED_MAX {
                inbox.arrived.push_back(datagram);
            }
            if let Some(waker) = inbox.waker.take() {
                waker.wake();
            }
        }
        let due = state.flying.first_key_value().map(|((at, _), _)| *at);
        state.pump = (due, Some(waker.clone()));
        due
    }
}

/// Delivers datagrams until nobody is left who could send one.
async fn pump(network: std::sync::Weak<SimulatedNetwork>) {
    let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
    core::future::poll_fn(|cx| {
        loop {
            let Some(network) = network.upgrade() else { return Poll::Ready(()) };
            let Some(due) = network.deliver(cx.waker()) else { return Poll::Pending };
            let at = network.world.zero() + Duration::from_millis(due);
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            timer.as_mut().reset(at);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

fn millis(age: Duration) -> u64 {
    // Rounded up: a timer is never early.
    u64::try_from(age.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// An address as a number, for the trace.
fn number(address: SocketAddr) -> u64 {
    let ip = match address.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits() as u64,
    };
    ip << 16 | u64::from(address.port())
}

/// One process' way into the network.
pub(super) struct Socket {
    network: Arc<SimulatedNetwork>,
    address: SocketAddr,
    number: u64,
    scope: Arc<ProcessScope>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.address)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if !self.scope.is_over() {
            let (from, to, ecn) = (self.address, transmit.destination, transmit.ecn);
            self.network.send(&Datagram { from, to, ecn, bytes: transmit.contents.into() });
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.network.state);
        let inbox = state.sockets.get_mut(&self.address).filter(|i| i.number == self.number);
        let (false, Some(inbox)) = (self.scope.is_over(), inbox) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some(datagram) = inbox.arrived.pop_front() else { break };
            let len = datagram.bytes.len();
            buffer[..len].copy_from_slice(&datagram.bytes);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (datagram.from, len, len);
            (meta.ecn, meta.dst_ip) = (datagram.ecn, Some(self.address.ip()));
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        inbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        // If not, larger and larger datagrams are tried, as in production.
        self.network.world.options.fragments
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
