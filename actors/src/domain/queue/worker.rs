use std::collections::BTreeSet;

use super::event::SessionId;
use crate::port::{Monotonic, UtcMillis};
use crate::protocol::stored::v1::WorkerRecord;
use crate::protocol::wire::v1::worker::Running;
use crate::protocol::wire::{BootId, Offer};
use crate::protocol::{AttemptId, GrantNumber, InputId, PublicKey};

/// A worker's key and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) key: PublicKey,
    pub(super) record: WorkerRecord,
    /// Jobs leased to it.
    pub(super) held: BTreeSet<InputId>,
    /// `None` while it is not connected.
    pub(super) session: Option<Session>,
    /// `None`: never since the start.
    pub(super) last_seen: Option<UtcMillis>,
}

/// A worker's live connection.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) boot: BootId,
    pub(super) address: String,
    pub(super) offer: Offer,
    pub(super) heard: Monotonic,
    /// False until its first status: before it nothing is granted, as nobody knows what it does.
    pub(super) told: bool,
    pub(super) seen: GrantNumber,
    /// As last told.
    pub(super) running: Vec<Running>,
    pub(super) free_memory: u64,
    pub(super) free_disk: u64,
}

impl Worker {
    /// Slots that nothing occupies: neither an attempt that it tells of, nor a lease that it has not
    /// told of yet. `spooled` tells of a lease whether its attempt is finished.
    pub(super) fn free_slots(&self, occupied: impl Fn(InputId) -> Option<AttemptId>) -> usize {
        let Some(session) = self.session.as_ref().filter(|s| s.told) else { return 0 };
        let mut taken: BTreeSet<AttemptId> = session.running.iter().map(|r| r.attempt).collect();
        taken.extend(self.held.iter().filter_map(|job| occupied(*job)));
        usize::from(session.offer.slots).saturating_sub(taken.len())
    }
}
