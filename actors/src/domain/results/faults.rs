//! Jobs that are tried again after a fault, before they are parked and while they are.

use super::artifact::Shown;
use super::query::Page;
use super::read_model::{EXAMINED_MAX, ReadModel};
use super::view::View;
use crate::domain::filter::{FilterError, PackageMatch};
use crate::domain::queue::Stand;
use crate::protocol::stored::{Outcome, StoredPlace};
use crate::protocol::wire::v1::ctl::{PackageFilter, PackageStatus, Subject, Trouble};
use crate::protocol::{Fault, InputId, UtcMillis};

/// The last fault of a job.
pub(super) struct LastFault {
    pub(super) fault: Fault,
    /// Faults in a row, at least 1.
    pub(super) times: u32,
    /// Tried again then; `None`: now, or when something changes.
    pub(super) next: Option<UtcMillis>,
}

impl View {
    /// The last fault of a job that waits or is parked because of it; `None`: it has none.
    pub(super) fn last_fault(&self) -> Option<LastFault> {
        let stand = self.stand.as_ref()?;
        match &stand.place {
            StoredPlace::Parked { fault, until, .. } => {
                let times = stand.faults.max(1);
                Some(LastFault { fault: fault.clone(), times, next: *until })
            }
            StoredPlace::Queued { due, .. } if stand.faults > 0 => {
                let next = Some(*due).filter(|due| due.0 > 0);
                Some(LastFault { fault: self.fault_of(stand)?, times: stand.faults, next })
            }
            StoredPlace::Leased { .. } if stand.faults > 0 => {
                Some(LastFault { fault: self.fault_of(stand)?, times: stand.faults, next: None })
            }
            _ => None,
        }
    }

    /// As the queue told, or from the newest report where that was before the coordinator's start.
    fn fault_of(&self, stand: &Stand) -> Option<Fault> {
        if let Some(fault) = &stand.fault {
            return Some(Fault::clone(fault));
        }
        match &self.newest_report()?.outcome {
            Outcome::Fault(fault) => Some(fault.clone()),
            Outcome::Verdicts(_) | Outcome::BuildFailed { .. } => None,
        }
    }

    /// What is shown of the fault beside an artifact without a verdict.
    pub(super) fn fault_shown(&self, seen: &Shown) -> Option<LastFault> {
        let open = matches!(seen.status, PackageStatus::Unknown | PackageStatus::Parked);
        self.last_fault().filter(|_| open)
    }
}

impl ReadModel {
    /// The last faults of jobs after `after`; perhaps fewer than there are, and more to come.
    ///
    /// # Errors
    /// A name that is no pattern.
    pub(super) fn faults(
        &self,
        filter: &PackageFilter,
        after: Option<InputId>,
    ) -> Result<Page<Trouble>, FilterError> {
        let matcher = PackageMatch::new(filter)?;
        let from = InputId(after.map_or(0, |id| id.0.saturating_add(1)));
        let mut rows = Vec::new();
        for (examined, (id, view)) in self.jobs.range(from..).enumerate() {
            if view.job.is_wanted()
                && let Some(last) = view.last_fault()
                && matcher.job(&view.job)
            {
                let LastFault { fault, times, next } = last;
                let text = format!("{}: {}", fault.kind, fault.detail);
                rows.push(Trouble { subject: Subject::Job(*id), text, times, next });
            }
            if examined + 1 >= EXAMINED_MAX {
                return Ok(Page { rows, next: Some(*id) });
            }
        }
        Ok(Page { rows, next: None })
    }
}
