//! Strangers that speak the protocol, and mean no good.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rebuilder_actors::port::{Connection, FrameReceive, FrameSend, Network as _};
use rebuilder_actors::protocol::Sha256;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request};
use rebuilder_actors::protocol::wire::{
    self, BootId, CHUNK_FRAME_BYTES_MAX, CONTROL_FRAME_BYTES_MAX, Hello, Role, SOFTWARE,
    VERSION_MAX, VERSION_MIN,
};
use rebuilder_transport::{Identity, Limits, Quic, system};
use tokio::task::JoinSet;

use super::storm::{Tally, count};

/// Wait after a refusal: a peer that is refused at once would only measure itself.
const PAUSE: Duration = Duration::from_millis(2);
/// A frame or a stream that flow control does not take for so long is given up.
const PATIENCE: Duration = Duration::from_millis(50);
/// Questions of one connection at a time: as many streams as it may have.
const QUESTIONS: usize = 8;

/// A connection of a key without rights.
struct Inside {
    connection: Box<dyn Connection>,
    _control: (Box<dyn FrameSend>, Box<dyn FrameReceive>),
    _network: Quic,
}

/// Asks everything that can be asked, as fast as it is answered; now and then it leaves in the
/// middle of its answers.
pub(super) async fn read(address: String, number: u16, tally: Arc<Tally>) {
    for turn in 0_u64.. {
        let Some(inside) = greet(&address, (1, number), 0, &tally).await else { continue };
        let connection: Arc<dyn Connection> = inside.connection.clone_handle().into();
        let mut asking = JoinSet::new();
        for first in 0..QUESTIONS {
            let (connection, tally) = (connection.clone(), tally.clone());
            asking.spawn(async move {
                for question in (first..).take(64) {
                    if ask(connection.as_ref(), question).await.is_none() {
                        return;
                    }
                    count(&tally.answers);
                }
            });
        }
        // Every fourth leaves with all its questions open.
        let leaves = Duration::from_millis(if turn % 4 == 3 { 100 } else { 20_000 });
        let all = async { while asking.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(leaves, all).await;
    }
}

async fn ask(connection: &dyn Connection, question: usize) -> Option<()> {
    let filter = |name: &str| PackageFilter { name: Some(name.into()), ..Default::default() };
    let request = match question % 8 {
        0 => Request::Status,
        1 => Request::Workers,
        2 => Request::Packages(PackageFilter::default()),
        3 => Request::Packages(filter("*q*z*x*j*no*")),
        4 => Request::Queue { planned: true, limit: None },
        5 => Request::Attestation { filter: filter("package00001") },
        6 => Request::Log { filter: filter("package00002"), follow: false },
        _ => Request::Profiles,
    };
    let (mut send, mut receive) = connection.open(CHUNK_FRAME_BYTES_MAX).await.ok()?;
    send.send(wire::encode(&request)).await.ok()?;
    send.finish().ok()?;
    while receive.receive().await.ok()?.is_some() {}
    Some(())
}

/// Connects with ever new keys from ever new addresses; half of them say nothing, or garbage.
pub(super) async fn dial(address: String, number: u16, tally: Arc<Tally>) {
    let mut kept = Vec::new();
    for turn in 0_u64.. {
        let inside = match turn % 4 {
            0 => silent(&address, (2, number), turn, &tally).await,
            _ => greet(&address, (2, number), turn, &tally).await,
        };
        // Some stay until they are put out.
        kept.extend(inside.filter(|_| turn.is_multiple_of(2)));
        if kept.len() > 32 {
            kept.remove(0);
        }
    }
}

/// Opens as many streams as it may, in both directions, with frames that never end.
pub(super) async fn stream(address: String, number: u16, tally: Arc<Tally>) {
    for turn in 0_u64.. {
        let Some(inside) = greet(&address, (3, number), turn, &tally).await else { continue };
        let mut held = Vec::new();
        let chunk = Bytes::from(vec![0x55; 256 << 10]);
        loop {
            let open = inside.connection.open(CHUNK_FRAME_BYTES_MAX);
            let Ok(Ok((mut send, receive))) = tokio::time::timeout(PATIENCE, open).await else {
                break;
            };
            count(&tally.streams);
            if turn.is_multiple_of(2) {
                // A request whose answer is never read.
                let _ = send.send(wire::encode(&Request::Packages(Default::default()))).await;
                let _ = send.finish();
            } else {
                // More than flow control takes: the frame stays unfinished.
                let _ = tokio::time::timeout(PATIENCE, send.send(chunk.clone())).await;
            }
            held.push((send, receive));
        }
        let one_way = tokio::time::timeout(PATIENCE, inside.connection.open_one_way()).await;
        if let Ok(Ok(mut send)) = one_way {
            count(&tally.streams);
            let _ = tokio::time::timeout(PATIENCE, send.send(chunk)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A connection that is let in.
async fn greet(address: &str, who: (u8, u16), turn: u64, tally: &Tally) -> Option<Inside> {
    let inside = async {
        let (network, connection) = connect(address, who, turn).await?;
        let (mut send, mut receive) = connection.open(CONTROL_FRAME_BYTES_MAX).await.ok()?;
        let hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            software: SOFTWARE.to_owned(),
            boot: BootId([9; 16]),
            role: Role::Ctl,
        };
        send.send(wire::encode(&hello)).await.ok()?;
        receive.receive().await.ok()??;
        Some(Inside { connection, _control: (send, receive), _network: network })
    };
    let inside = inside.await;
    count(if inside.is_some() { &tally.greeted } else { &tally.refused });
    if inside.is_none() {
        tokio::time::sleep(PAUSE).await;
    }
    inside
}

/// A connection that says no hello, or one that cannot be read.
async fn silent(address: &str, who: (u8, u16), turn: u64, tally: &Tally) -> Option<Inside> {
    let Some((network, connection)) = connect(address, who, turn).await else {
        count(&tally.refused);
        tokio::time::sleep(PAUSE).await;
        return None;
    };
    let (mut send, receive) = connection.open(CONTROL_FRAME_BYTES_MAX).await.ok()?;
    if turn.is_multiple_of(8) {
        let _ = send.send(Bytes::from_static(&[0xff; 64])).await;
    }
    Some(Inside { connection, _control: (send, receive), _network: network })
}

/// `kind` and `number` choose the address, the turn the key as well.
async fn connect(
    address: &str,
    (kind, number): (u8, u16),
    turn: u64,
) -> Option<(Quic, Box<dyn Connection>)> {
    let seed = Sha256::of(format!("stranger {kind} {number} {turn}").as_bytes()).0;
    let last = u8::try_from(1 + (u64::from(number) + 16 * turn) % 250).unwrap_or(1);
    let source = SocketAddr::from((Ipv4Addr::new(127, 77, kind, last), 0));
    let network = system::client_at(source, Identity::from_seed(seed), Limits::default()).ok()?;
    let limit = Duration::from_secs(5);
    let connection = tokio::time::timeout(limit, network.connect(address, None)).await.ok()?;
    Some((network, connection.ok()?))
}
