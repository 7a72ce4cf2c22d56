//! One connection to the coordinator, and the questions asked on it.

use std::time::Duration;

use rebuilder_actors::port::{
    CloseReason, Connection, FrameReceive, FrameSend, Network, StreamError,
};
use rebuilder_actors::protocol::PublicKey;
use rebuilder_actors::protocol::wire::v1::ctl::{Request, Response};
use rebuilder_actors::protocol::wire::{
    BootId, CHUNK_FRAME_BYTES_MAX, CONTROL_FRAME_BYTES_MAX, CloseCode, Hello, Role, SOFTWARE,
    VERSION_MAX, VERSION_MIN, Welcome, decode, encode,
};

use crate::failure::Failure;

/// A connection on which both sides agreed about the version.
pub struct Session {
    connection: Box<dyn Connection>,
    /// Kept open: its end would end the session.
    _control: (Box<dyn FrameSend>, Box<dyn FrameReceive>),
    /// What the coordinator said about itself and us.
    pub welcome: Welcome,
}

impl Session {
    /// Connects to `endpoint` (`host:port`), where only `expect` is accepted if given, and agrees
    /// on the version; all of it within `secs`.
    ///
    /// # Errors
    /// Nobody answers, somebody else answers, or the coordinator refuses; each says what to check.
    pub async fn open(
        network: &dyn Network,
        endpoint: &str,
        expect: Option<PublicKey>,
        boot: BootId,
        secs: u32,
    ) -> Result<Self, Failure> {
        let opened = async {
            let connection = network.connect(endpoint, expect).await.map_err(Failure::Connect)?;
            Self::greet(connection, boot).await
        };
        let limit = Duration::from_secs(secs.into());
        match tokio::time::timeout(limit, opened).await {
            Ok(done) => done,
            Err(_) => Err(Failure::Silent { endpoint: endpoint.to_owned(), secs }),
        }
    }

    async fn greet(connection: Box<dyn Connection>, boot: BootId) -> Result<Self, Failure> {
        let (mut send, mut receive) = connection.open(CONTROL_FRAME_BYTES_MAX).await?;
        let hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            software: SOFTWARE.to_owned(),
            boot,
            role: Role::Ctl,
        };
        let answer = match send.send(encode(&hello)).await {
            Ok(()) => receive.receive().await,
            Err(error) => Err(error),
        };
        let frame = match answer {
            Ok(Some(frame)) => frame,
            // A coordinator that refuses may end the stream before its reason is here.
            Ok(None) | Err(StreamError::Reset(_)) => {
                return Err(Failure::Closed(connection.closed().await));
            }
            Err(error) => return Err(error.into()),
        };
        let welcome: Welcome =
            decode(&frame).map_err(|error| Failure::Protocol(format!("welcome: {error}")))?;
        if !(VERSION_MIN..=VERSION_MAX).contains(&welcome.version) {
            return Err(Failure::Protocol(format!(
                "the coordinator chose version {} of the protocol, this ctl speaks {VERSION_MIN} \
                 to {VERSION_MAX}",
                welcome.version
            )));
        }
        Ok(Self { connection, _control: (send, receive), welcome })
    }

    /// The key that the coordinator proved.
    pub fn peer(&self) -> PublicKey {
        self.connection.peer()
    }

    /// Sends `request` on a stream of its own.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        let (mut send, receive) = self.connection.open(CHUNK_FRAME_BYTES_MAX).await?;
        send.send(encode(request)).await?;
        send.finish()?;
        Ok(Answer { receive, _send: send })
    }

    /// Tells the coordinator that we are done.
    pub fn close(&self) {
        let code = CloseCode::Stopping as u32;
        self.connection.close(CloseReason { code, text: "ctl is done".to_owned() });
    }
}

/// The frames of one answer.
pub struct Answer {
    receive: Box<dyn FrameReceive>,
    _send: Box<dyn FrameSend>,
}

impl Answer {
    /// The next frame; `None` at the end of the answer.
    ///
    /// # Errors
    /// The coordinator refused ([`Failure::Refused`]), or the connection was lost.
    pub async fn next(&mut self) -> Result<Option<Response>, Failure> {
        let Some(frame) = self.receive.receive().await? else { return Ok(None) };
        match decode(&frame).map_err(|error| Failure::Protocol(error.to_string()))? {
            Response::Refused { code, text } => Err(Failure::Refused { code, text }),
            response => Ok(Some(response)),
        }
    }

    /// The only frame of an answer.
    ///
    /// # Errors
    /// As [`Answer::next`], or the answer is empty.
    pub async fn single(&mut self) -> Result<Response, Failure> {
        self.next().await?.ok_or_else(|| Failure::Protocol("an empty answer".to_owned()))
    }
}

/// The failure for a frame that does not answer the request.
pub fn misplaced(response: &Response) -> Failure {
    let what = match response {
        Response::Status(_) => "a status",
        Response::Worker(_) => "a worker",
        Response::Invitation { .. } => "an invitation",
        Response::Profile(_) => "a profile",
        Response::Package(_) => "a package",
        Response::Chunk(_) => "bytes",
        Response::Queued(_) => "a job",
        Response::Done { .. } => "a result",
        Response::Quarantined { .. } => "a quarantined message",
        Response::Ambiguous { .. } => "a choice",
        Response::Refused { .. } => "a refusal",
        Response::Trouble(_) => "a trouble",
        Response::Attempt(_) => "an attempt",
        Response::Capabilities(_) => "capabilities",
        Response::DatedPackage(_) => "a package with its times",
    };
    Failure::Protocol(format!("{what} that does not answer the request"))
}
