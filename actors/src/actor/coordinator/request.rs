//! Questions and orders of ctl, each on a stream of its own.

use base64::Engine as _;
use core::net::SocketAddr;
use tokio::task::JoinSet;

use super::answer::{Answering, Left, Outcome};
use super::refusals::Kind;
use super::services::Services;
use super::turn::{ARRIVAL, Reader};
use super::{queue, syncs};
use crate::domain::queue::Order;
use crate::domain::results::{Capabilities, Faults, Packages, Profiles, Rows, Troubles, Workers};
use crate::port::{Connection, FrameReceive};
use crate::protocol::wire::v1::ctl::{RefusalCode, Request, Response};
use crate::protocol::wire::v1::history::DatedPackage;
use crate::protocol::wire::{self, REQUEST_FRAME_BYTES_MAX};
use crate::protocol::{PublicKey, Sha256};

/// Largest time to live of an invitation: 30 days.
const INVITATION_SECS_MAX: u32 = 30 * 24 * 3600;
/// Most rows of the queue that a key which may only read is given: its head is what is asked for.
const READ_ROWS_MAX: u32 = 500;

/// Takes the requests of one ctl, a few at a time: a stream is not even taken before there is a
/// place for what it asks, so what a peer sends beyond that waits in its flow control.
pub(super) async fn accept(connection: Box<dyn Connection>, services: Services, admin: bool) {
    let reader = Reader::new(admin, services.reading.clone());
    let mut streams = JoinSet::new();
    while let Some(place) = reader.place().await {
        let Ok((sender, receiver)) = connection.accept(REQUEST_FRAME_BYTES_MAX).await else {
            return;
        };
        while streams.try_join_next().is_some() {}
        let answering = Answering { services: services.clone(), reader: reader.clone(), sender };
        let who = (connection.peer(), connection.remote_address());
        streams.spawn(async move {
            serve(answering, receiver, who).await;
            drop(place);
        });
    }
}

async fn serve(
    mut answering: Answering,
    mut receiver: Box<dyn FrameReceive>,
    (peer, address): (PublicKey, SocketAddr),
) {
    let Some(request) = arrival(receiver.as_mut()).await else { return };
    let outcome = match request {
        Ok(request) if !answering.reader.is_admin() && is_order(&request) => {
            answering.services.refusals.say(Kind::Order, || {
                format!("an order of ctl {peer} from {address} refused: this key may only read")
            });
            let text = "this key may only read: use the admin key (ctl.key beside the \
                        coordinator's database), or add this key to `admins`";
            answering.refuse(RefusalCode::Denied, text).await
        }
        Ok(request) => answer(&mut answering, request).await,
        Err(text) => answering.refuse(RefusalCode::Invalid, &text).await,
    };
    match outcome {
        Ok(()) => drop(answering.sender.finish()),
        Err(Left) => tracing::debug!("ctl {peer} from {address} left before its answer ended"),
    }
}

/// The request, or why it is refused, once it is whole or [`ARRIVAL`] is over; `None`: the peer
/// stopped, or was cut off, in the middle of it.
async fn arrival(receiver: &mut dyn FrameReceive) -> Option<Result<Request, String>> {
    match tokio::time::timeout(ARRIVAL, receiver.receive()).await {
        Ok(Ok(Some(frame))) => {
            let request = wire::decode::<Request>(&frame);
            Some(request.map_err(|error| format!("the request cannot be read: {error}")))
        }
        Ok(_) => None,
        Err(_) => {
            let secs = ARRIVAL.as_secs();
            Some(Err(format!("the request did not arrive within {secs} s")))
        }
    }
}

/// True for what changes something.
fn is_order(request: &Request) -> bool {
    match request {
        Request::Invite { .. }
        | Request::Revoke { .. }
        | Request::SyncRun { .. }
        | Request::QueuePush { .. }
        | Request::QueueDrop { .. }
        | Request::QueuePushAny { .. }
        | Request::QueueDropAny { .. } => true,
        Request::Status
        | Request::Workers
        | Request::Profiles
        | Request::Packages(_)
        | Request::Log { .. }
        | Request::Difference { .. }
        | Request::Attestation { .. }
        | Request::Queue { .. }
        | Request::Quarantine
        | Request::Troubles
        | Request::Capabilities
        | Request::Faults(_)
        | Request::PackagesOfAny(_)
        | Request::DatedPackages(_)
        | Request::History(_) => false,
    }
}

async fn answer(to: &mut Answering, request: Request) -> Outcome {
    match request {
        Request::Status => to.status().await,
        Request::Workers => to.list(Workers, None, Response::Worker).await,
        Request::Queue { planned, limit } => {
            let limit = if to.reader.is_admin() { limit } else { Some(read_rows(limit)) };
            let now = to.services.clock.utc();
            to.list(Rows { now, planned }, limit, Response::Queued).await
        }
        Request::Invite { ttl_secs } => invite(to, ttl_secs).await,
        Request::Revoke { worker } => to.order(Order::Revoke { worker }).await,
        Request::QueuePush { filter, priority } if filter.status.is_none() => {
            to.order(Order::Push { filter, priority }).await
        }
        Request::QueueDrop { filter } if filter.status.is_none() => {
            to.order(Order::Drop { filter }).await
        }
        Request::QueuePush { filter, priority } => to.push(vec![filter], priority).await,
        Request::QueueDrop { filter } => to.drop(vec![filter]).await,
        Request::QueuePushAny { filters, priority } => to.push(filters, priority).await,
        Request::QueueDropAny { filters } => to.drop(filters).await,
        Request::Profiles => to.list(Profiles, None, Response::Profile).await,
        Request::SyncRun { profile } => {
            let run = |reply| syncs::Message::Run(profile, reply);
            match to.services.ask(&to.services.syncs, run).await {
                Ok(Ok(text)) => to.row(Response::Done { affected: 1, text }).await,
                Ok(Err(text)) => to.refuse(RefusalCode::Invalid, &text).await,
                Err(gone) => to.refuse(RefusalCode::Internal, &gone.to_string()).await,
            }
        }
        Request::Troubles => {
            let now = to.services.clock.utc();
            to.list(Troubles { now }, None, Response::Trouble).await
        }
        Request::Faults(filter) => to.list(Faults(filter), None, Response::Trouble).await,
        Request::Packages(filter) => to.list(Packages(vec![filter]), None, undated).await,
        Request::PackagesOfAny(filters) => to.list(Packages(filters), None, undated).await,
        Request::DatedPackages(filters) => {
            to.list(Packages(filters), None, Response::DatedPackage).await
        }
        Request::Capabilities => to.list(Capabilities, None, Response::Capabilities).await,
        Request::Log { filter, follow } => to.log(filter, follow).await,
        Request::History(filter) => to.history(filter).await,
        Request::Difference { filter } => to.difference(filter).await,
        Request::Attestation { filter } => to.attestation(filter).await,
        Request::Quarantine => {
            let _turn = to.turn().await?;
            let records = to.services.quarantine.records().into_iter();
            let rows =
                records.map(|r| Response::Quarantined { actor: r.actor, text: r.text, at: r.at });
            to.rows(rows.collect()).await
        }
    }
}

fn undated(row: DatedPackage) -> Response {
    Response::Package(row.package)
}

/// Rows of the queue for a key that may only read.
fn read_rows(limit: Option<u32>) -> u32 {
    limit.map_or(READ_ROWS_MAX, |limit| limit.min(READ_ROWS_MAX))
}

/// True for an address that says "all of mine", which nobody can connect to.
fn nowhere(address: &str) -> bool {
    address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified())
}

/// Makes a token that carries address, coordinator key, number and secret.
async fn invite(to: &mut Answering, ttl_secs: u32) -> Outcome {
    if ttl_secs == 0 || ttl_secs > INVITATION_SECS_MAX {
        let text = format!("an invitation lasts from 1 s to {INVITATION_SECS_MAX} s");
        return to.refuse(RefusalCode::Invalid, &text).await;
    }
    if nowhere(&to.services.public_address) {
        let text = format!(
            "workers cannot connect to {}: set `public_address` in [coordinator]",
            to.services.public_address
        );
        return to.refuse(RefusalCode::Invalid, &text).await;
    }
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    to.services.entropy.fill(&mut id);
    to.services.entropy.fill(&mut secret);
    let order = Order::Invite { id, secret_sha256: Sha256::of(&secret), ttl_secs };
    let ordered = |reply| queue::Message::Order(order, reply);
    let mut rows = match to.services.ask(&to.services.queue, ordered).await {
        Ok(rows) => rows,
        Err(gone) => return to.refuse(RefusalCode::Internal, &gone.to_string()).await,
    };
    if let Some(Response::Invitation { token, .. }) = rows.first_mut() {
        let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        *token = format!(
            "rebuilder1;{};{};{};{}",
            to.services.public_address,
            to.services.signer.public_key(),
            base64.encode(id),
            base64.encode(secret)
        );
    }
    to.rows(rows).await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use core::time::Duration;

    use super::*;
    use crate::port::{BoxFuture, StreamError};

    /// A peer whose request is whole after so long.
    struct After(Duration, Result<Option<Bytes>, StreamError>);

    impl FrameReceive for After {
        fn receive(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>> {
            Box::pin(async {
                tokio::time::sleep(self.0).await;
                self.1.clone()
            })
        }

        fn set_limit(&mut self, _limit: usize) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_ten_seconds_to_arrive_whole() {
        let came = |secs, received| async move {
            let mut peer = After(Duration::from_secs(secs), received);
            arrival(&mut peer).await
        };
        let status = || Ok(Some(wire::encode(&Request::Status)));
        assert_eq!(came(9, status()).await, Some(Ok(Request::Status)));
        let late = Some(Err("the request did not arrive within 10 s".to_owned()));
        assert_eq!(came(11, status()).await, late);
        // Also one that would never be whole, or end, takes its place no longer.
        assert_eq!(came(u64::from(u32::MAX), Ok(None)).await, late);
        assert_eq!(came(1, Ok(None)).await, None);
        assert_eq!(came(1, Err(StreamError::Truncated)).await, None);
        let garbage = came(1, Ok(Some(Bytes::from_static(&[0xff; 9])))).await;
        assert!(garbage.unwrap().unwrap_err().starts_with("the request cannot be read: "));
    }

    #[test]
    fn an_invitation_names_an_address_that_can_be_reached() {
        assert!(nowhere("0.0.0.0:7400") && nowhere("[::]:7400"));
        assert!(!nowhere("192.0.2.1:7400") && !nowhere("rebuilder.example.org:7400"));
    }

    #[test]
    fn a_key_that_may_only_read_gets_at_most_500_rows() {
        assert_eq!([None, Some(7), Some(501)].map(read_rows), [500, 7, 500]);
    }
}
