//! The little of an operator that a measurement needs.

use std::sync::Mutex;

use rebuilder_actors::port::{Connection, FrameReceive, FrameSend, Network as _};
use rebuilder_actors::protocol::wire::v1::ctl::{Profile, Request, Response, Status};
use rebuilder_actors::protocol::wire::{
    self, BootId, CHUNK_FRAME_BYTES_MAX, CONTROL_FRAME_BYTES_MAX, Hello, Role, SOFTWARE,
    VERSION_MAX, VERSION_MIN,
};
use rebuilder_transport::Quic;

/// A connection with the admin's key.
pub(super) struct Ctl {
    connection: Box<dyn Connection>,
    /// Stays open as long as this; behind a lock so that tasks may share the rest.
    _control: Mutex<(Box<dyn FrameSend>, Box<dyn FrameReceive>)>,
    _network: Quic,
}

impl Ctl {
    pub(super) async fn open(network: Quic, address: &str) -> Result<Self, String> {
        let text = |e: &dyn core::fmt::Display| e.to_string();
        let connection = network.connect(address, None).await.map_err(|e| text(&e))?;
        let control = connection.open(CONTROL_FRAME_BYTES_MAX).await.map_err(|e| text(&e))?;
        let (mut send, mut receive) = control;
        let hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            software: SOFTWARE.to_owned(),
            boot: BootId([0xc7; 16]),
            role: Role::Ctl,
        };
        send.send(wire::encode(&hello)).await.map_err(|e| text(&e))?;
        receive.receive().await.map_err(|e| text(&e))?.ok_or("no welcome")?;
        Ok(Self { connection, _control: Mutex::new((send, receive)), _network: network })
    }

    pub(super) async fn ask(&self, request: &Request) -> Result<Vec<Response>, String> {
        let text = |e: &dyn core::fmt::Display| format!("{request:?}: {e}");
        let opened = self.connection.open(CHUNK_FRAME_BYTES_MAX).await;
        let (mut send, mut receive) = opened.map_err(|e| text(&e))?;
        send.send(wire::encode(request)).await.map_err(|e| text(&e))?;
        send.finish().map_err(|e| text(&e))?;
        let mut rows = Vec::new();
        while let Some(frame) = receive.receive().await.map_err(|e| text(&e))? {
            match wire::decode(&frame).map_err(|e| text(&e))? {
                Response::Refused { text: reason, .. } => return Err(text(&reason)),
                row => rows.push(row),
            }
        }
        Ok(rows)
    }

    pub(super) async fn status(&self) -> Result<Status, String> {
        match self.ask(&Request::Status).await?.pop() {
            Some(Response::Status(status)) => Ok(status),
            other => Err(format!("no status: {other:?}")),
        }
    }

    /// Waits until the only profile was synced, and tells of it.
    pub(super) async fn synced(&self) -> Result<Profile, String> {
        loop {
            match self.ask(&Request::Profiles).await?.pop() {
                Some(Response::Profile(Profile { error: Some(error), .. })) => return Err(error),
                Some(Response::Profile(profile)) if profile.synced_at.is_some() => {
                    return Ok(profile);
                }
                _ => tokio::time::sleep(core::time::Duration::from_millis(10)).await,
            }
        }
    }
}
