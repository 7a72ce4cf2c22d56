//! A worker and a ctl made of the transport alone, to say what the shipped ones never say.

use core::time::Duration;

use rebuilder_actors::port::{
    CloseReason, Connection, FrameReceive, FrameSend, FrameStreams, Network, StreamError,
};
use rebuilder_actors::protocol::wire::v1::coordinator::Message as FromCoordinator;
use rebuilder_actors::protocol::wire::v1::ctl::{Request, Response};
use rebuilder_actors::protocol::wire::v1::worker::{Message, Running, Status};
use rebuilder_actors::protocol::wire::{
    self, BootId, CHUNK_FRAME_BYTES_MAX, CONTROL_FRAME_BYTES_MAX, Hello, Offer, Role, SOFTWARE,
    Welcome,
};
use rebuilder_actors::protocol::{Assignment, GrantNumber};
use rebuilder_transport::{Identity, Limits, Quic, system};

/// A connection on which nothing was said yet.
pub struct Dialed {
    pub connection: Box<dyn Connection>,
    pub sender: Box<dyn FrameSend>,
    pub receiver: Box<dyn FrameReceive>,
    _endpoint: Quic,
}

impl Dialed {
    /// Connects and opens the control stream.
    pub async fn new(address: &str, identity: &Identity) -> Self {
        Self::of(address, system::client(identity.clone(), limits()).unwrap()).await.unwrap()
    }

    /// The same from an address of this machine, or why it is closed at once.
    pub async fn from(
        source: [u8; 4],
        address: &str,
        identity: &Identity,
    ) -> Result<Self, CloseReason> {
        let source = (source, 0).into();
        let endpoint = system::client_at(source, identity.clone(), limits()).unwrap();
        match Self::of(address, endpoint).await {
            Err(StreamError::Closed(reason)) => Err(reason),
            opened => Ok(opened.unwrap()),
        }
    }

    async fn of(address: &str, endpoint: Quic) -> Result<Self, StreamError> {
        let connection = soon(endpoint.connect(address, None)).await.unwrap();
        let (sender, receiver) = soon(connection.open(CONTROL_FRAME_BYTES_MAX)).await?;
        Ok(Self { connection, sender, receiver, _endpoint: endpoint })
    }

    pub async fn say(&mut self, frame: bytes::Bytes) -> Result<(), StreamError> {
        soon(self.sender.send(frame)).await
    }

    /// Why the other side closes.
    pub async fn closed(&self) -> CloseReason {
        soon(self.connection.closed()).await
    }

    /// A ctl that is let in, or why it is not.
    pub async fn ctl(mut self) -> Result<Self, CloseReason> {
        // It may be closed before it spoke.
        let _ = self.say(hello(Role::Ctl)).await;
        match soon(self.receiver.receive()).await {
            Ok(Some(_)) => Ok(self),
            Err(StreamError::Closed(reason)) => Err(reason),
            other => panic!("a welcome or an end was expected: {other:?}"),
        }
    }

    /// Opens a stream and asks, without reading the answer.
    pub async fn ask(&self, request: &Request) -> Option<FrameStreams> {
        let opened = self.connection.open(CHUNK_FRAME_BYTES_MAX);
        let (mut sender, receiver) = soon(opened).await.ok()?;
        soon(sender.send(wire::encode(request))).await.ok()?;
        let _ = sender.finish();
        Some((sender, receiver))
    }

    /// A ctl that was let in.
    pub async fn as_ctl(address: &str, identity: &Identity) -> Self {
        Self::new(address, identity).await.greet(Role::Ctl).await.0
    }

    pub async fn greet(mut self, role: Role) -> (Self, Welcome) {
        self.say(hello(role)).await.unwrap();
        let frame = soon(self.receiver.receive()).await.unwrap().expect("a welcome");
        let welcome = wire::decode(&frame).unwrap();
        (self, welcome)
    }
}

/// As a worker's connection is kept alive by its statuses.
fn limits() -> Limits {
    Limits { keep_alive: Some(Duration::from_secs(5)), ..Limits::default() }
}

fn hello(role: Role) -> bytes::Bytes {
    wire::encode(&Hello {
        version_min: wire::VERSION_MIN,
        version_max: wire::VERSION_MAX,
        software: SOFTWARE.into(),
        boot: BootId([9; 16]),
        role,
    })
}

/// A worker with one slot for the cluster's packages.
pub struct Peer {
    pub dialed: Dialed,
}

impl Peer {
    /// A worker that is let in.
    pub async fn join(address: &str, identity: &Identity, name: &str) -> Self {
        let role = Role::Worker { offer: offer(name, 1), enrolment: None };
        let (dialed, _) = Dialed::new(address, identity).await.greet(role).await;
        Self { dialed }
    }

    pub async fn tell(&mut self, message: &Message) {
        self.dialed.say(wire::encode(message)).await.unwrap();
    }

    /// Tells a status, marked by `free_memory` so that its arrival can be seen.
    pub async fn status(&mut self, seen: GrantNumber, running: &[Running], free_memory: u64) {
        let (running, spooled) = (running.to_vec(), Vec::new());
        let status = Status { seen, running, spooled, free_memory, free_disk: 1 << 30 };
        self.tell(&Message::Status(status)).await;
    }

    pub async fn hear(&mut self) -> FromCoordinator {
        let frame = soon(self.dialed.receiver.receive()).await.unwrap().expect("a message");
        wire::decode(&frame).unwrap()
    }

    /// The next message, which is an assignment.
    pub async fn assigned(&mut self) -> (GrantNumber, Box<Assignment>) {
        match self.hear().await {
            FromCoordinator::Assign { number, assignment } => (number, assignment),
            other => panic!("an assignment was expected: {other:?}"),
        }
    }
}

/// What a worker of the cluster offers.
pub fn offer(name: &str, slots: u16) -> Offer {
    Offer {
        name: name.into(),
        backends: vec!["cluster".into()],
        architectures: vec!["*".into()],
        tags: Vec::new(),
        slots,
    }
}

/// A ctl whose connection stays.
pub struct Admin {
    dialed: Dialed,
}

impl Admin {
    pub async fn connect(address: &str, identity: &Identity) -> Self {
        let (dialed, welcome) = Dialed::new(address, identity).await.greet(Role::Ctl).await;
        assert!(welcome.admin, "the key is the admin key");
        Self { dialed }
    }

    pub async fn ask(&self, request: &Request) -> Vec<Response> {
        let streams = soon(self.dialed.connection.open(CHUNK_FRAME_BYTES_MAX)).await;
        let (mut sender, mut receiver) = streams.unwrap();
        soon(sender.send(wire::encode(request))).await.unwrap();
        sender.finish().unwrap();
        let mut rows = Vec::new();
        while let Some(frame) = soon(receiver.receive()).await.unwrap() {
            rows.push(wire::decode(&frame).unwrap());
        }
        rows
    }
}

/// Fails instead of hanging.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("done in 20 s")
}
