use core::future::poll_fn;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;

use quinn::{ConnectionError, Runtime, VarInt};
use rebuilder_actors::port::{
    BoxFuture, CloseReason, Connection, FrameReceive, FrameSend, StreamError,
};
use rebuilder_actors::protocol::PublicKey;
use rustls::pki_types::CertificateDer;

use crate::close::{CloseReasons, to_wire};
use crate::endpoint::Shared;
use crate::identity::{NotAKey, decode_spki};
use crate::limits::Limits;
use crate::stream::{FrameReceiver, FrameSender};

/// A connection whose peer proved a key.
#[derive(Clone)]
pub(crate) struct QuicConnection {
    inner: quinn::Connection,
    peer: PublicKey,
    reasons: Arc<CloseReasons>,
    limits: Arc<Limits>,
    runtime: Arc<dyn Runtime>,
    /// Set by [`Connection::widen`].
    is_wide: Arc<AtomicBool>,
}

impl QuicConnection {
    /// Takes the peer's key from the handshake that is done.
    pub(crate) fn new(inner: quinn::Connection, shared: &Shared) -> Result<Self, NotAKey> {
        let identity = inner.peer_identity().ok_or(NotAKey)?;
        let chain = identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| NotAKey)?;
        let peer = decode_spki(chain.first().ok_or(NotAKey)?)?;
        let (reasons, limits) = (Arc::new(shared.close_reasons()), shared.limits.clone());
        let (runtime, is_wide) = (shared.runtime.clone(), Arc::default());
        Ok(Self { inner, peer, reasons, limits, runtime, is_wide })
    }

    fn sender(&self, stream: quinn::SendStream) -> Box<dyn FrameSend> {
        Box::new(FrameSender::new(stream, self.reasons.clone()))
    }

    fn receiver(&self, stream: quinn::RecvStream, limit: usize) -> Box<dyn FrameReceive> {
        Box::new(FrameReceiver::new(stream, limit, self.reasons.clone()))
    }

    fn both(
        &self,
        streams: Result<(quinn::SendStream, quinn::RecvStream), ConnectionError>,
        limit: usize,
    ) -> Result<Streams, StreamError> {
        let (send, receive) = streams.map_err(|error| self.reasons.closed(&error))?;
        Ok((self.sender(send), self.receiver(receive, limit)))
    }

    /// Bytes that the peer may have under way now.
    fn window(&self) -> u32 {
        let Limits { connection_window, window_unknown, .. } = *self.limits;
        let is_known = self.inner.side().is_client() || self.is_wide.load(Ordering::Relaxed);
        if is_known { connection_window } else { connection_window.min(window_unknown) }
    }
}

impl Connection for QuicConnection {
    fn clone_handle(&self) -> Box<dyn Connection> {
        Box::new(self.clone())
    }

    fn peer(&self) -> PublicKey {
        self.peer
    }

    fn remote_address(&self) -> SocketAddr {
        canonical(self.inner.remote_address())
    }

    fn exporter(&self, label: &[u8], context: &[u8]) -> [u8; 32] {
        let mut secret = [0; 32];
        self.inner
            .export_keying_material(&mut secret, label, context)
            .expect("an exporter gives 32 bytes once the handshake is done");
        secret
    }

    fn open(&self, limit: usize) -> BoxFuture<'_, Result<Streams, StreamError>> {
        Box::pin(async move { self.both(self.inner.open_bi().await, limit) })
    }

    fn accept(&self, limit: usize) -> BoxFuture<'_, Result<Streams, StreamError>> {
        Box::pin(async move { self.both(self.inner.accept_bi().await, limit) })
    }

    fn open_one_way(&self) -> BoxFuture<'_, Result<Box<dyn FrameSend>, StreamError>> {
        Box::pin(async move {
            let stream = self.inner.open_uni().await;
            Ok(self.sender(stream.map_err(|error| self.reasons.closed(&error))?))
        })
    }

    fn accept_one_way(
        &self,
        limit: usize,
    ) -> BoxFuture<'_, Result<Box<dyn FrameReceive>, StreamError>> {
        Box::pin(async move {
            let stream = self.inner.accept_uni().await;
            Ok(self.receiver(stream.map_err(|error| self.reasons.closed(&error))?, limit))
        })
    }

    fn widen(&self) {
        let Limits { streams_max, connection_window, send_window, .. } = *self.limits;
        self.inner.set_receive_window(connection_window.into());
        self.inner.set_send_window(send_window.into());
        self.inner.set_max_concurrent_bi_streams(streams_max.into());
        self.is_wide.store(true, Ordering::Relaxed);
    }

    fn alive(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let acknowledged = || self.inner.stats().frame_rx.acks;
            let before = acknowledged();
            // quinn has no ping. One more byte of window makes it send MAX_DATA, which a peer must
            // acknowledge (RFC 9000 §13.2.1); taking the byte back sends nothing.
            let window = self.window();
            self.inner.set_receive_window(VarInt::from_u32(window.saturating_add(1)));
            self.inner.set_receive_window(VarInt::from_u32(window));
            while acknowledged() == before {
                let runtime = &self.runtime;
                let mut timer = runtime.new_timer(runtime.now() + LOOK_AGAIN);
                poll_fn(|cx| timer.as_mut().poll(cx)).await;
            }
        })
    }

    fn close(&self, reason: CloseReason) {
        let (code, text) = to_wire(&reason);
        let text = text.to_vec();
        self.reasons.set_own(reason);
        self.inner.close(code, &text);
    }

    fn closed(&self) -> BoxFuture<'_, CloseReason> {
        Box::pin(async move { self.reasons.of(&self.inner.closed().await) })
    }
}

/// Time between two looks at whether an acknowledgement has come.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Both halves of a stream in both directions.
type Streams = (Box<dyn FrameSend>, Box<dyn FrameReceive>);

/// An IPv4 peer of a socket for both families, as IPv4.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
