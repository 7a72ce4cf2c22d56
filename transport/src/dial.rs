use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use quinn::{AsyncTimer, ConnectionError, Runtime};
use rebuilder_actors::port::{BoxFuture, ConnectError};
use rebuilder_actors::protocol::PublicKey;

use crate::close::printable;
use crate::connection::QuicConnection;
use crate::endpoint::Shared;
use crate::quic_config;
use crate::timer::within;

/// Connects to the first of `targets` that answers with the right key.
pub(crate) async fn dial(
    shared: &Arc<Shared>,
    address: &str,
    targets: Vec<SocketAddr>,
    expect: Option<PublicKey>,
) -> Result<QuicConnection, ConnectError> {
    let attempt = |target| -> BoxFuture<'_, _> { Box::pin(attempt(shared, target, expect)) };
    let attempts = targets.into_iter().take(TARGETS_MAX).map(attempt).collect();
    race(&*shared.runtime, attempts).await.map_err(|failures| summarize(address, &failures))
}

async fn attempt(
    shared: &Arc<Shared>,
    target: SocketAddr,
    expect: Option<PublicKey>,
) -> Result<QuicConnection, Failure> {
    let failed = |reason: String| Failure::Unreachable { target, reason };
    let verifier = shared.tls.verifier(expect);
    let tls = shared.tls.client(verifier.clone()).map_err(|error| failed(error.to_string()))?;
    let config = quic_config::client(tls, shared.first_ids.clone(), shared.transport.clone())
        .map_err(|error| failed(error.to_string()))?;
    let connecting = shared
        .endpoint
        .connect_with(config, target, SERVER_NAME)
        .map_err(|error| failed(error.to_string()))?;
    let limit = shared.limits.handshake_timeout;
    let Some(outcome) = within(&*shared.runtime, limit, connecting).await else {
        return Err(failed(format!("no answer within {limit:?}")));
    };
    let connection = outcome.map_err(|error| match (expect, verifier.refused()) {
        (Some(expected), Some(found)) => Failure::WrongKey { expected, found },
        _ => failed(describe(&error)),
    })?;
    QuicConnection::new(connection, shared).map_err(|error| failed(error.to_string()))
}

#[derive(Debug)]
enum Failure {
    Unreachable { target: SocketAddr, reason: String },
    WrongKey { expected: PublicKey, found: PublicKey },
}

fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => "no answer".into(),
        ConnectionError::LocallyClosed => "closed here while connecting".into(),
        ConnectionError::ConnectionClosed(close) => {
            printable(format!("refused by the peer: {close}").as_bytes())
        }
        error => printable(error.to_string().as_bytes()),
    }
}

/// A wrong key says more than silence at another address of the same name.
fn summarize(address: &str, failures: &[Failure]) -> ConnectError {
    let mut reasons = Vec::new();
    for failure in failures {
        match failure {
            Failure::WrongKey { expected, found } => {
                let (expected, found) = (*expected, *found);
                return ConnectError::WrongKey { address: address.into(), expected, found };
            }
            Failure::Unreachable { reason, .. } if failures.len() == 1 => {
                reasons.push(reason.clone());
            }
            Failure::Unreachable { target, reason } => reasons.push(format!("{target}: {reason}")),
        }
    }
    ConnectError::Unreachable { address: address.into(), reason: reasons.join("; ") }
}

/// The first success; or all failures. The attempts start one after the other, the next one when
/// one failed or after [`HEAD_START`] (RFC 8305 §5).
async fn race<T, E>(
    runtime: &dyn Runtime,
    waiting: VecDeque<BoxFuture<'_, Result<T, E>>>,
) -> Result<T, Vec<E>> {
    let mut race = Race { waiting, running: Vec::new(), failures: Vec::new(), head_start: None };
    poll_fn(|cx| race.poll(runtime, cx)).await
}

struct Race<'a, T, E> {
    waiting: VecDeque<BoxFuture<'a, Result<T, E>>>,
    running: Vec<BoxFuture<'a, Result<T, E>>>,
    failures: Vec<E>,
    /// Until when the next attempt waits; `None`: it may start.
    head_start: Option<Pin<Box<dyn AsyncTimer>>>,
}

impl<T, E> Race<'_, T, E> {
    fn poll(&mut self, runtime: &dyn Runtime, cx: &mut Context<'_>) -> Poll<Result<T, Vec<E>>> {
        loop {
            if let Some(timer) = &mut self.head_start
                && timer.as_mut().poll(cx).is_ready()
            {
                self.head_start = None;
            }
            if self.head_start.is_none()
                && let Some(next) = self.waiting.pop_front()
            {
                self.running.push(next);
                self.head_start = Some(runtime.new_timer(runtime.now() + HEAD_START));
                continue;
            }
            let failures_before = self.failures.len();
            let mut at = 0;
            while at < self.running.len() {
                match self.running[at].as_mut().poll(cx) {
                    Poll::Ready(Ok(winner)) => return Poll::Ready(Ok(winner)),
                    Poll::Ready(Err(failure)) => {
                        drop(self.running.remove(at));
                        self.failures.push(failure);
                        self.head_start = None;
                    }
                    Poll::Pending => at += 1,
                }
            }
            if self.running.is_empty() && self.waiting.is_empty() {
                return Poll::Ready(Err(core::mem::take(&mut self.failures)));
            }
            if self.failures.len() == failures_before || self.waiting.is_empty() {
                return Poll::Pending;
            }
        }
    }
}

/// TLS wants a name; ours has no meaning and is not sent.
const SERVER_NAME: &str = "rebuilder";

/// Addresses of one name that are tried.
const TARGETS_MAX: usize = 8;

/// How long an attempt runs alone.
const HEAD_START: Duration = Duration::from_millis(250);
