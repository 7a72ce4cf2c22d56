//! Datagrams that belong to nothing.

use std::sync::Arc;

use rebuilder_actors::port::Network as _;
use rebuilder_transport::{Identity, Limits, system};
use tokio::net::UdpSocket;

use super::storm::{Tally, count};

/// The longest datagram that is sent: what one packet of the usual networks holds.
const DATAGRAM_MAX: usize = 1_400;
/// First byte and version of a first packet of QUIC, length of its connection id (RFC 9000
/// §17.2.2).
const INITIAL: [u8; 6] = [0xc3, 0, 0, 0, 1, 8];

/// Sends noise, every second one with the head of a first packet, as fast as the system takes it.
pub(super) async fn datagrams(address: String, tally: Arc<Tally>) {
    let Ok(socket) = UdpSocket::bind("127.77.4.1:0").await else { return };
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut datagram = [0; DATAGRAM_MAX];
    loop {
        for piece in datagram.chunks_exact_mut(8) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            piece.copy_from_slice(&noise.to_be_bytes());
        }
        let mut length = usize::try_from(noise % DATAGRAM_MAX as u64).unwrap_or(0);
        if noise & (1 << 40) != 0 {
            datagram[..INITIAL.len()].copy_from_slice(&INITIAL);
            length = length.max(1_200);
        }
        if socket.send_to(&datagram[..length], &address).await.is_ok() {
            count(&tally.datagrams);
        }
        // The other strangers of this thread have their turn.
        tokio::task::yield_now().await;
    }
}

/// Sends the first datagrams of connections, each with an id of its own, and nothing more.
pub(super) async fn half_open(address: String, tally: Arc<Tally>) {
    let Ok(trap) = UdpSocket::bind("127.77.5.1:0").await else { return };
    let Ok(sender) = UdpSocket::bind("127.77.5.2:0").await else { return };
    let Ok(at) = trap.local_addr().map(|at| at.to_string()) else { return };
    let Ok(client) = system::client(Identity::from_seed([69; 32]), Limits::default()) else {
        return;
    };
    let mut datagram = vec![0; 2_000];
    loop {
        let dialing = client.connect(&at, None);
        tokio::select! {
            biased;
            // Given up as soon as its first datagram is caught.
            Ok((length, _)) = trap.recv_from(&mut datagram) => {
                if sender.send_to(&datagram[..length], &address).await.is_ok() {
                    count(&tally.half_open);
                }
            }
            // Nobody answers there.
            _ = dialing => {}
        }
    }
}
