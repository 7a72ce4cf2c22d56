//! The same endpoint over a network of memory and virtual time: what the simulation builds on.

use core::fmt;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller};
use rebuilder_actors::port::Network;
use rebuilder_transport::{EndpointParts, Limits, Quic, crypto};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::common::{frame, identity, reason};

#[test]
fn the_same_seed_gives_the_same_datagrams() {
    let first = traffic(1);
    assert!(first.len() > 50, "{} datagrams", first.len());
    assert_eq!(first, traffic(1));
    // The control: the seed is what decides.
    assert_ne!(first, traffic(2));
}

/// When, from where and how long (ring's key exchange makes the bytes differ).
type Shape = (Duration, SocketAddr, usize);

/// An hour of statuses, then a large log, then the end.
fn traffic(seed: u8) -> Vec<Shape> {
    let mut tokio = tokio::runtime::Builder::new_current_thread();
    let tokio = tokio.enable_time().start_paused(true).build().unwrap();
    tokio.block_on(async move {
        let network = Arc::new(SimulatedNetwork { start: now(), state: Mutex::default() });
        let server = endpoint(&network, 1, seed, true);
        let client = endpoint(&network, 2, seed, false);
        let address = server.local_address().unwrap().to_string();
        let pin = Some(identity(1).public_key());
        let (at_client, at_server) = tokio::join!(client.connect(&address, pin), server.accept());
        let (at_client, at_server) = (at_client.unwrap(), at_server.unwrap());
        let (mut send, _receive) = at_client.open(100).await.unwrap();
        for _ in 0..360 {
            send.send(frame("still here")).await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        let mut log = at_client.open_one_way().await.unwrap();
        let sending = async {
            log.send(Bytes::from(vec![1; 3 << 20])).await.unwrap();
            log.finish().unwrap();
        };
        let receiving = async {
            let mut log = at_server.accept_one_way(3 << 20).await.unwrap();
            assert_eq!(log.receive().await.unwrap().unwrap().len(), 3 << 20);
        };
        tokio::join!(sending, receiving);
        server.close(reason(1, "done")).await;
        assert_eq!(at_client.closed().await, reason(1, "done"));
        core::mem::take(&mut network.state.lock().unwrap().seen)
    })
}

fn endpoint(network: &Arc<SimulatedNetwork>, host: u8, seed: u8, accept: bool) -> Quic {
    let address = SocketAddr::from(([192, 0, 2, host], 4433));
    let mut own_seed = [seed; 32];
    own_seed[0] = host;
    Quic::new(EndpointParts {
        socket: Arc::new(Antenna { network: network.clone(), address }),
        runtime: Arc::new(VirtualTime),
        identity: identity(host),
        seed: own_seed,
        crypto: Arc::new(crypto::provider()),
        time: Arc::new(Epoch),
        resolver: None,
        accept,
        limits: Limits::default(),
    })
    .unwrap()
}

fn now() -> Instant {
    VirtualTime.now()
}

#[derive(Debug)]
struct VirtualTime;

impl Runtime for VirtualTime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(Box::pin(tokio::time::sleep_until(at.into()))))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(future);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

#[derive(Debug)]
struct Timer(Pin<Box<tokio::time::Sleep>>);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.as_mut().reset(at.into());
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self.0.as_mut(), cx)
    }
}

#[derive(Debug)]
struct Epoch;

impl TimeProvider for Epoch {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)))
    }
}

/// A network that carries every datagram in 5 ms.
struct SimulatedNetwork {
    start: Instant,
    state: Mutex<AirState>,
}

#[derive(Default)]
struct AirState {
    seen: Vec<Shape>,
    arrived: BTreeMap<SocketAddr, VecDeque<(SocketAddr, Vec<u8>)>>,
    wakers: BTreeMap<SocketAddr, Waker>,
}

struct Antenna {
    network: Arc<SimulatedNetwork>,
    address: SocketAddr,
}

impl fmt::Debug for Antenna {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Antenna({})", self.address)
    }
}

impl AsyncUdpSocket for Antenna {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let (network, from, to) = (self.network.clone(), self.address, transmit.destination);
        let datagram = transmit.contents.to_vec();
        let seen = (now() - network.start, from, datagram.len());
        network.state.lock().unwrap().seen.push(seen);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mut state = network.state.lock().unwrap();
            state.arrived.entry(to).or_default().push_back((from, datagram));
            if let Some(waker) = state.wakers.remove(&to) {
                waker.wake();
            }
        });
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.network.state.lock().unwrap();
        let next = state.arrived.entry(self.address).or_default().pop_front();
        let Some((addr, datagram)) = next else {
            state.wakers.insert(self.address, cx.waker().clone());
            return Poll::Pending;
        };
        let len = datagram.len();
        bufs[0][..len].copy_from_slice(&datagram);
        meta[0] = RecvMeta::default();
        (meta[0].addr, meta[0].len, meta[0].stride) = (addr, len, len);
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
