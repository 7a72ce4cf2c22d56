//! How much a queue holds, for those who watch that it stays in bounds.

use super::event::Now;
use super::queue_state::Queue;
use crate::protocol::stored::StoredPlace;
use crate::protocol::wire::v1::ctl::JobCounts;

/// How much a queue holds of what grows: each has a bound in workers, jobs or profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Jobs, wanted or not.
    pub jobs: usize,
    /// Connections of workers.
    pub sessions: usize,
    /// Leases: at most one for each job.
    pub leases: usize,
    /// Jobs that wait for a moment.
    pub timers: usize,
    /// Grants of the job that has most.
    pub grants_max: usize,
    /// Indexes that are being taken in: at most one for each profile.
    pub syncs: usize,
    /// Invitations that are not forgotten yet.
    pub invitations: usize,
}

impl Queue {
    /// Jobs by where they are, by a look at each; unwanted ones are not counted. Readers have
    /// counts that cost nothing.
    pub fn counts(&self, now: Now) -> JobCounts {
        let mut counts = JobCounts::default();
        for entry in self.entries.values().filter(|entry| entry.wanted()) {
            let count = match &entry.state.place {
                StoredPlace::Queued { due, .. } if *due > now.utc => &mut counts.delayed,
                StoredPlace::Queued { .. } => &mut counts.ready,
                StoredPlace::Leased { .. } => &mut counts.running,
                StoredPlace::Parked { .. } => &mut counts.parked,
                StoredPlace::Decided => &mut counts.decided,
                StoredPlace::Dropped => &mut counts.dropped,
            };
            *count += 1;
        }
        let next = self.timed.iter().find(|(_, id)| !self.parked.contains(id));
        counts.next_due_ms =
            next.map(|(at, _)| at.0.saturating_sub(now.utc.0).max(0).unsigned_abs());
        counts
    }

    /// How much of what grows is held.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            jobs: self.entries.len(),
            sessions: self.sessions.len() + self.knocking.len(),
            leases: self.leases.iter().count(),
            timers: self.timed.len(),
            grants_max: self.entries.values().map(|e| e.state.grants.len()).max().unwrap_or(0),
            syncs: self.syncs.len(),
            invitations: self.invitations.len(),
        }
    }
}
