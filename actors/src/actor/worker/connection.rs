use core::time::Duration;
use std::sync::Arc;

use crate::port::{
    CloseReason, ConnectError, Connection, FrameReceive, FrameSend, Network, StreamError,
};
use crate::protocol::PublicKey;
use crate::protocol::wire::{
    self, BootId, CONTROL_FRAME_BYTES_MAX, CloseCode, EXPORTER, Enrolment, EnrolmentKind, Hello,
    Offer, Role, SOFTWARE, Welcome, enrolment_proof,
};

/// How a worker finds its coordinator and proves itself.
#[derive(Clone)]
pub struct Credentials {
    /// `host:port`.
    pub address: String,
    /// The coordinator's key; `None`: not known yet, a secret must prove it.
    pub pin: Option<PublicKey>,
    /// `None`: the worker's key is listed or enrolled.
    pub secret: Option<Secret>,
    /// The worker's own key.
    pub own: PublicKey,
    /// This process.
    pub boot: BootId,
    /// Called with the coordinator's key once it is proved, to be pinned from then on.
    pub remember: Arc<dyn Fn(PublicKey) + Send + Sync>,
}

/// A secret shared with the coordinator: the key of the proof, and which one it is.
#[derive(Clone)]
pub struct Secret {
    /// Which.
    pub kind: EnrolmentKind,
    /// Key of the HMAC.
    pub key: Vec<u8>,
}

/// A connection on which the coordinator said welcome.
pub(super) struct Up {
    pub(super) connection: Box<dyn Connection>,
    pub(super) sender: Box<dyn FrameSend>,
    pub(super) receiver: Box<dyn FrameReceive>,
    pub(super) welcome: Welcome,
}

/// A try that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the coordinator ended the connection before its welcome")]
    NoWelcome,
    #[error("the coordinator said no welcome within {} s", WELCOME.as_secs())]
    Silent,
    #[error("the coordinator's welcome cannot be read: {0}")]
    Welcome(#[from] wire::DecodeError),
    #[error(
        "the coordinator {0} did not prove that it knows the secret: wrong secret, or another \
         coordinator answers here"
    )]
    NoProof(PublicKey),
}

impl Refused {
    /// Why the coordinator will not let this worker in at any later try either; `None`: it may.
    pub(super) fn for_good(&self) -> Option<&CloseReason> {
        match self {
            Self::Stream(StreamError::Closed(reason)) if is_for_good(reason) => Some(reason),
            _ => None,
        }
    }
}

/// True for an end after which a new try is of no use until an operator has changed something.
pub(super) fn is_for_good(reason: &CloseReason) -> bool {
    [CloseCode::Denied, CloseCode::Revoked].iter().any(|code| *code as u32 == reason.code)
}

/// Time for the coordinator to say welcome.
const WELCOME: Duration = Duration::from_secs(10);

/// One try to connect and be let in.
pub(super) async fn connect(
    network: &dyn Network,
    credentials: &Credentials,
    offer: &Offer,
) -> Result<Up, Refused> {
    let connection = network.connect(&credentials.address, credentials.pin).await?;
    match tokio::time::timeout(WELCOME, greet(connection.as_ref(), credentials, offer)).await {
        Ok(Ok((sender, receiver, welcome))) => Ok(Up { connection, sender, receiver, welcome }),
        Ok(Err(error)) => {
            close(connection.as_ref(), &error.to_string());
            Err(error)
        }
        Err(_) => {
            close(connection.as_ref(), "no welcome");
            Err(Refused::Silent)
        }
    }
}

fn close(connection: &dyn Connection, text: &str) {
    connection.close(CloseReason { code: CloseCode::Denied as u32, text: text.into() });
}

async fn greet(
    connection: &dyn Connection,
    credentials: &Credentials,
    offer: &Offer,
) -> Result<(Box<dyn FrameSend>, Box<dyn FrameReceive>, Welcome), Refused> {
    let peer = connection.peer();
    let exporter = connection.exporter(EXPORTER, b"");
    let prove = |secret: &Secret, label| {
        enrolment_proof(&secret.key, &exporter, label, &credentials.own, &peer)
    };
    let enrolment = credentials
        .secret
        .as_ref()
        .map(|secret| Enrolment { kind: secret.kind, proof: prove(secret, "worker") });
    let hello = Hello {
        version_min: wire::VERSION_MIN,
        version_max: wire::VERSION_MAX,
        software: SOFTWARE.into(),
        boot: credentials.boot,
        role: Role::Worker { offer: offer.clone(), enrolment },
    };
    let (mut sender, mut receiver) = connection.open(CONTROL_FRAME_BYTES_MAX).await?;
    sender.send(wire::encode(&hello)).await?;
    let frame = receiver.receive().await?.ok_or(Refused::NoWelcome)?;
    let welcome: Welcome = wire::decode(&frame)?;
    let proved = credentials.secret.as_ref().is_some_and(|secret| {
        welcome.proof.is_some_and(|proof| proof == prove(secret, "coordinator"))
    });
    if !proved && credentials.pin.is_none() {
        return Err(Refused::NoProof(peer));
    }
    if credentials.pin.is_none() {
        (credentials.remember)(peer);
    }
    Ok((sender, receiver, welcome))
}
