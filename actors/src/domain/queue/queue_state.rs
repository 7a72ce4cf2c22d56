use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attention::Attention;
use super::effect::{Effects, Notice};
use super::entry::Entry;
use super::event::{Event, Join, Now, SessionId};
use super::lane::Ready;
use super::lease::Leases;
use super::named::Named;
use super::settings::Settings;
use super::worker::Worker;
use crate::planted::{self, Bug};
use crate::port::{Doubt, Monotonic};
use crate::protocol::stored::{self, Counters, InvitationRecord, ProfileRecord, Record};
use crate::protocol::text::{printable, steers};
use crate::protocol::{Archive, InputId, JobKey, PublicKey, Sha256, SourceId, UtcMillis, WorkerId};

/// The queue: see the module.
#[derive(Debug)]
pub struct Queue {
    pub(super) settings: Settings,
    pub(super) counters: Counters,
    pub(super) counters_changed: bool,
    pub(super) entries: BTreeMap<InputId, Box<Entry>>,
    pub(super) by_key: BTreeMap<Arc<JobKey>, InputId>,
    pub(super) sources: BTreeMap<SourceName, SourceId>,
    pub(super) archives: BTreeMap<Arc<Vec<Archive>>, i32>,
    pub(super) archives_by_id: BTreeMap<i32, Arc<Vec<Archive>>>,
    pub(super) profiles: BTreeMap<Box<str>, ProfileRecord>,
    /// What each sync under way has named so far.
    pub(super) syncs: BTreeMap<Box<str>, Named>,
    /// What of an index that is being taken in could not be read, by profile.
    pub(super) doubts: BTreeMap<Box<str>, Vec<Doubt>>,
    /// Releases that each sync under way leaves as they are.
    pub(super) syncs_kept: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) worker_keys: BTreeMap<PublicKey, WorkerId>,
    pub(super) sessions: BTreeMap<SessionId, WorkerId>,
    /// Processes that wait until the live connection of their worker has answered: at most one for
    /// each connected worker.
    pub(super) knocking: BTreeMap<WorkerId, Join>,
    pub(super) invitations: BTreeMap<[u8; 8], InvitationRecord>,
    pub(super) ready: Ready,
    /// Jobs that become ready at a moment: delayed and parked ones.
    pub(super) timed: BTreeSet<(UtcMillis, InputId)>,
    /// Parked jobs, by number.
    pub(super) parked: BTreeSet<InputId>,
    pub(super) leases: Leases,
    /// Workers that may have a free slot.
    pub(super) idle: BTreeSet<WorkerId>,
    /// Ends of the times for which workers are set aside.
    pub(super) aside: BTreeSet<(Monotonic, WorkerId)>,
    /// Workers of whom readers are to be told at the end of this event.
    pub(super) changed: BTreeSet<WorkerId>,
    pub(super) attention: Attention,
}

/// Identifies a source package in one release: a digest, because the names themselves are kept with
/// the job and there are tens of thousands.
pub(super) type SourceName = Sha256;

/// See [`SourceName`].
pub(super) fn source_name(
    distribution: &str,
    release: Option<&str>,
    source: &str,
    version: &str,
) -> SourceName {
    let names = (distribution, release, source, version);
    Sha256::of(&postcard::to_allocvec(&names).expect("postcard can write texts"))
}

impl Queue {
    /// Takes one event in and says what follows from it.
    pub fn handle(&mut self, now: Now, event: Event) -> Effects {
        let mut effects = Effects::default();
        let now = self.attend(on_wall_clock(now), &event, &mut effects);
        match event {
            Event::Joined(join) => self.join(now, *join, &mut effects),
            Event::Left(session) => self.leave(now, session, &mut effects),
            Event::Probed { session, answered } => {
                self.probed(now, session, answered, &mut effects);
            }
            Event::StatusReceived(session, status) => {
                self.on_status(now, session, status, &mut effects);
            }
            Event::Condition(session, received) => {
                self.condition(now, session, received, &mut effects);
            }
            Event::Capabilities(session, received) => self.keep_capabilities(session, &received),
            Event::Reported { session, report, countersigned } => {
                self.report(now, session, &report, &countersigned, &mut effects);
            }
            Event::SetAside(session, attempt) => {
                self.set_aside(now, session, attempt, &mut effects);
            }
            Event::UploadAsked { session, request, attempt, file } => {
                self.upload_asked(session, request, attempt, file.as_deref(), &mut effects);
            }
            Event::DifferenceStored { build, file, sha256, size } => {
                self.difference_stored(build, file, sha256, size, &mut effects);
            }
            // What an earlier hand-over that broke off had named counts for nothing.
            Event::SyncBegan { profile } => {
                self.doubts.remove(&profile);
                self.syncs_kept.remove(&profile);
                self.syncs.remove(&profile);
            }
            Event::SyncKept { profile, releases } => {
                self.syncs_kept.insert(profile, releases.into_iter().collect());
            }
            Event::SyncDoubts { profile, doubts } => drop(self.doubts.insert(profile, doubts)),
            Event::SyncPage { profile, groups } => {
                self.sync_page(now, &profile, groups, &mut effects);
            }
            Event::SyncEnded { profile, index, took_ms } => {
                self.sync_ended(now, profile, index, took_ms, &mut effects);
            }
            Event::Ordered(request, order) => self.order(now, request, order, &mut effects),
            Event::Ticked => {}
        }
        self.expire_leases(now, &mut effects);
        self.wake(now, &mut effects);
        self.end_setbacks(now);
        self.grant_all(now, &mut effects);
        self.tell_of_workers(&mut effects);
        if core::mem::take(&mut self.counters_changed) && !planted::is(Bug::NumbersReused) {
            effects.batch.put(Counters::key(()), stored::write(&self.counters));
        }
        effects
    }

    /// The time that the event is handled at: its own stall is taken off the monotonic clock.
    fn attend(&mut self, now: Now, event: &Event, effects: &mut Effects) -> Now {
        if self.leases.is_empty() {
            self.attention.rest(now.monotonic);
        }
        if matches!(event, Event::Ticked)
            && let Some(stall) = self.attention.look(now.monotonic)
        {
            let secs = stall.as_secs_f32();
            let text = format!(
                "the coordinator stood still for {secs:.1} s: not counted as silence of workers"
            );
            Self::line(effects, now, true, text);
        }
        if counts_stalls() {
            return now;
        }
        Now { monotonic: self.attention.time(now.monotonic), ..now }
    }

    /// Time from `now` until the next event of its own; `None`: nothing is waited for.
    pub fn next_deadline(&self, now: Now) -> Option<Duration> {
        let now = on_wall_clock(now);
        let time = self.attention.time(now.monotonic);
        let lease = self.leases.next_deadline().map(|at| {
            if counts_stalls() {
                return at.since(now.monotonic);
            }
            at.since(time).min(self.attention.wait(now.monotonic))
        });
        let due = self.timed.first().map(|(at, _)| {
            Duration::from_millis(at.0.saturating_sub(now.utc.0).max(0).unsigned_abs())
        });
        let due = due.filter(|_| !planted::is(Bug::DueNotWoken));
        let aside = self.aside.first().map(|(at, _)| at.since(time));
        [lease, due, aside].into_iter().flatten().min()
    }

    /// One line for the terminal; what cannot be printed is replaced, for workers say some of it.
    pub(super) fn line(effects: &mut Effects, now: Now, warning: bool, text: String) {
        let text = if text.contains(steers) { printable(&text) } else { text };
        effects.notices.push(Notice { at: now.utc, warning, text, refused: None });
    }

    /// The next number of one kind.
    pub(super) fn next(&mut self, pick: impl FnOnce(&mut Counters) -> &mut i32) -> i32 {
        let counter = pick(&mut self.counters);
        *counter =
            counter.checked_add(1).expect("i32 numbers last for two thousand million things");
        self.counters_changed = true;
        *counter
    }
}

/// With a bug planted: leases run on as the clock does.
fn counts_stalls() -> bool {
    planted::is(Bug::StallCountedAsSilence) || planted::is(Bug::LeaseOnWallClock)
}

/// Both clocks as they are, unless the bug is planted.
fn on_wall_clock(now: Now) -> Now {
    if !planted::is(Bug::LeaseOnWallClock) {
        return now;
    }
    let monotonic = Monotonic(Duration::from_millis(now.utc.0.max(0).unsigned_abs()));
    Now { monotonic, ..now }
}
