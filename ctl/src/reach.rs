//! Waiting for a coordinator that may not be there.

use std::future::poll_fn;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rebuilder_actors::port::ConnectError;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::session::Session;

/// A handshake takes less where the coordinator is there; only after that its port is asked.
const HANDSHAKE: Duration = Duration::from_millis(250);
/// Between two questions, of which any may be lost.
const BETWEEN: Duration = Duration::from_millis(300);
/// Between two signs to whoever waits.
const SIGN: Duration = Duration::from_secs(1);

/// The session that `opening` becomes, unless the port at `endpoint` refuses before. While it takes
/// longer than a second a dot a second says so on standard error.
///
/// # Errors
/// As [`Session::open`], or the port refuses.
pub async fn reach(
    opening: impl Future<Output = Result<Session, Failure>>,
    endpoint: &str,
) -> Result<Session, Failure> {
    let (mut opening, mut refusal) = (pin!(opening), pin!(refused(endpoint)));
    let (mut tick, mut first, mut asking) = (Box::pin(sleep(SIGN)), true, true);
    let result = loop {
        let happened = poll_fn(|context| {
            if let Poll::Ready(opened) = opening.as_mut().poll(context) {
                return Poll::Ready(Happened::Opened(opened));
            }
            if asking && let Poll::Ready(refused) = refusal.as_mut().poll(context) {
                return Poll::Ready(Happened::Answered(refused));
            }
            tick.as_mut().poll(context).map(|()| Happened::Waited)
        });
        match happened.await {
            Happened::Opened(opened) => break opened,
            Happened::Answered(Some(address)) => break Err(nobody(endpoint, address)),
            Happened::Answered(None) => asking = false,
            Happened::Waited => {
                sign(&if first { format!("waiting for {endpoint} .") } else { ".".to_owned() });
                first = false;
                tick = Box::pin(sleep(SIGN));
            }
        }
    };
    if !first {
        sign("\n");
    }
    result
}

enum Happened {
    Opened(Result<Session, Failure>),
    /// The port refuses; `None`: it does not, or that cannot be found out.
    Answered(Option<SocketAddr>),
    /// A second passed.
    Waited,
}

fn nobody(endpoint: &str, address: SocketAddr) -> Failure {
    let reason = format!("its machine says that nobody listens on UDP port {}", address.port());
    Failure::Connect(ConnectError::Unreachable { address: endpoint.to_owned(), reason })
}

fn sign(text: &str) {
    // When standard error is gone nobody is there to wait.
    let mut error = io::stderr();
    error.write_all(text.as_bytes()).and_then(|()| error.flush()).ok();
}

/// The address at which the port refuses, if it does at every address of `endpoint`: a machine
/// answers a datagram to a port where nobody listens (ICMP port unreachable), which only a socket
/// that is connected is told. `None`: it does not, or that cannot be found out.
async fn refused(endpoint: &str) -> Option<SocketAddr> {
    sleep(HANDSHAKE).await;
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(endpoint).await.ok()?.collect();
    let mut last = None;
    for address in addresses {
        if !port_refuses(address).await.ok()? {
            return None;
        }
        last = Some(address);
    }
    last
}

/// Asks a few times, with datagrams too short to be one of QUIC.
async fn port_refuses(address: SocketAddr) -> io::Result<bool> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    for _ in 0..3 {
        let asked = async {
            socket.send(&[0]).await?;
            socket.recv(&mut [0; 16]).await
        };
        match timeout(BETWEEN, asked).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(true),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) => return Ok(false),
            Err(_) => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_without_a_listener_refuses_and_a_silent_one_does_not() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        assert_eq!(refused(&address.to_string()).await, None);
        drop(silent);
        let endpoint = address.to_string();
        let answered = timeout(Duration::from_secs(2), refused(&endpoint));
        assert_eq!(answered.await, Ok(Some(address)));
        assert_eq!(refused("no-such-host.invalid:1").await, None);
    }
}
