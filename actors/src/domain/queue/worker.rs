use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::event::{Now, SessionId};
use super::lease::STEP;
use super::setback::Setback;
use crate::planted::{self, Bug};
use crate::port::Monotonic;
use crate::protocol::stored::WorkerRecord;
use crate::protocol::wire::v1::worker::{Condition, Running};
use crate::protocol::wire::{BootId, Offer};
use crate::protocol::{AttemptId, GrantNumber, InputId, PublicKey, UtcMillis};

/// A worker's key and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) key: PublicKey,
    pub(super) record: WorkerRecord,
    /// Jobs leased to it.
    pub(super) held: BTreeSet<InputId>,
    /// Attempts of those that are finished, only the report's answer is missing: with the deadline
    /// of each lease, as there may be many and a status names them all.
    pub(super) spooled: BTreeMap<AttemptId, Monotonic>,
    /// `None` while it is not connected.
    pub(super) session: Option<Session>,
    /// `None`: never since the start.
    pub(super) last_seen: Option<UtcMillis>,
    /// As last told, since its last connection.
    pub(super) condition: Condition,
    /// Whether its attempts fail for reasons of its own.
    pub(super) setback: Setback,
}

/// A worker's live connection.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) boot: BootId,
    pub(super) address: String,
    /// Without the backends that it cannot build with now.
    pub(super) offer: Offer,
    /// What its machine gives to builds, as it said.
    pub(super) capabilities: Vec<String>,
    /// All backends that it said it has.
    pub(super) offered: Vec<String>,
    pub(super) heard: Monotonic,
    /// False until its first status: before it nothing is granted, as nobody knows what it does.
    pub(super) status_received: bool,
    pub(super) seen: GrantNumber,
    /// As last told.
    pub(super) running: Vec<Running>,
    /// Attempts that it was told to stop, until a status that has seen their grant does not tell of
    /// them any more: statuses that crossed the order, or that are not worth believing, do not
    /// order it again. Where no such grant is on its way, the number is 0.
    pub(super) cancelled: BTreeMap<AttemptId, GrantNumber>,
    /// Attempts whose report was answered on this connection, while a status that was sent before
    /// the answer may still call them running; at most [`ENDED_MAX`].
    pub(super) ended: BTreeSet<AttemptId>,
    pub(super) free_memory: u64,
    pub(super) free_disk: u64,
}

impl Session {
    /// True when the worker tells what it does: one that fell silent is given nothing, even while
    /// its connection lasts.
    pub(super) fn is_attentive(&self, now: Now) -> bool {
        self.status_received && now.monotonic.since(self.heard) < ATTENTIVE
    }

    /// The report of this attempt has its final answer: it occupies no slot from now on.
    pub(super) fn end(&mut self, attempt: AttemptId) {
        self.running.retain(|running| running.attempt != attempt);
        self.cancelled.remove(&attempt);
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_first();
        }
        self.ended.insert(attempt);
    }

    /// Attempts that it was told to stop before it was heard to have begun them: what it begins
    /// when the grant arrives occupies a slot until the order to stop is carried out.
    fn stopped_unseen(&self) -> usize {
        let unseen = self.cancelled.iter().filter(|(_, number)| **number > self.seen);
        unseen.filter(|(attempt, _)| !self.running.iter().any(|r| r.attempt == **attempt)).count()
    }

    /// Takes what has ended out of what a status calls running. Statuses come in order: what one
    /// does not name, none after it does.
    pub(super) fn forget_ended(&mut self, running: &mut Vec<Running>) {
        self.ended.retain(|attempt| running.iter().any(|r| r.attempt == *attempt));
        running.retain(|running| !self.ended.contains(&running.attempt));
    }
}

impl Worker {
    /// Its connection, when it may be given work: it tells what it does, and is not set aside.
    pub(super) fn attentive(&self, now: Now) -> Option<&Session> {
        let session = self.session.as_ref().filter(|session| session.is_attentive(now));
        session.filter(|_| self.setback.aside(now.monotonic).is_none())
    }

    /// Slots that nothing occupies: neither an attempt that it tells of, nor a lease that it has
    /// not told of yet. `leased` tells the attempt of a job's lease.
    pub(super) fn free_slots(
        &self,
        now: Now,
        leased: impl Fn(InputId) -> Option<AttemptId>,
    ) -> usize {
        let Some(session) = self.attentive(now) else { return 0 };
        // Both lists are about as long as there are slots: looking through them costs less than a
        // set.
        if planted::is(Bug::SlotsIgnored) {
            return 1;
        }
        let told = &session.running;
        let untold = self.unfinished().filter_map(leased);
        let untold = untold.filter(|attempt| !told.iter().any(|r| r.attempt == *attempt)).count();
        let stuck = self.spooled.len().saturating_sub(SPOOLED_MAX);
        let taken = told.len() + untold + stuck + session.stopped_unseen();
        usize::from(session.offer.slots).saturating_sub(taken)
    }

    /// Jobs leased to it whose attempt is not finished, as far as it told.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = InputId> {
        let mut spooled = self.spooled.keys().peekable();
        self.held.iter().copied().filter(move |job| {
            while spooled.next_if(|attempt| attempt.job < *job).is_some() {}
            spooled.peek().is_none_or(|attempt| attempt.job != *job)
        })
    }

    /// Jobs whose lease a status may change: those whose attempt is not finished, is no longer
    /// kept, or was last extended long before `deadline`. `kept` is ascending.
    pub(super) fn touched(&self, kept: &[AttemptId], deadline: Monotonic) -> Vec<InputId> {
        let stale = self.spooled.iter().filter(|(attempt, at)| {
            deadline.since(**at) >= STEP || kept.binary_search(attempt).is_err()
        });
        let mut jobs: Vec<InputId> = stale.map(|(attempt, _)| attempt.job).collect();
        jobs.extend(self.unfinished());
        jobs.sort_unstable();
        jobs
    }
}

/// Silence after which a worker is given nothing: it missed a status. Shorter than the shortest
/// lease, so that a job lost by silence does not go back to the silent worker.
const ATTENTIVE: Duration = Duration::from_secs(15);

/// Answers between two statuses of one worker: as many as two whole statuses may call running, with
/// the most slots that there are.
const ENDED_MAX: usize = 512;

/// Finished attempts that occupy no slot: more of them without a report, and the worker's reports
/// do not get through, so that it would only draw the queue into its spool.
const SPOOLED_MAX: usize = 256;
