use std::sync::Arc;

use super::firsts::Firsts;
use crate::domain::queue::{Job, JobPlace, Stand};
use crate::protocol::stored::{ReportRecord, StoredPlace};

/// A job as readers see it.
#[derive(Debug)]
pub struct View {
    pub(super) job: Arc<Job>,
    /// `None`: not told yet.
    pub(super) stand: Option<Stand>,
    /// The one that is shown, with its sequence number.
    pub(super) best: Option<(u64, Arc<ReportRecord>)>,
    /// The newest of all, faults included.
    pub(super) newest: Option<(u64, Arc<ReportRecord>)>,
    /// Numbers of the newest reports, ascending: as many as a history lists.
    pub(super) reports: Vec<u64>,
    /// `None`: no build was reported yet.
    pub(super) firsts: Option<Box<Firsts>>,
    pub(super) flaky: bool,
}

impl View {
    pub(super) fn new(job: Arc<Job>) -> Self {
        Self {
            job,
            stand: None,
            best: None,
            newest: None,
            reports: Vec::new(),
            firsts: None,
            flaky: false,
        }
    }

    pub(super) fn job_place(&self) -> JobPlace {
        self.stand.as_ref().map_or(JobPlace::Waiting, Stand::job_place)
    }

    /// The newest report, be it of a fault.
    pub(super) fn newest_report(&self) -> Option<&ReportRecord> {
        self.newest.as_ref().map(|(_, record)| record.as_ref())
    }

    /// The report that is shown.
    pub(super) fn best(&self) -> Option<&ReportRecord> {
        self.best.as_ref().map(|(_, record)| record.as_ref())
    }

    /// True where the place is the status, as long as there is no verdict.
    pub(super) fn place_is_status(&self) -> bool {
        self.stand.as_ref().is_some_and(|stand| place_is_status(&stand.place))
    }
}

/// True for the places that are shown as a status of their own where there is no verdict.
pub(super) fn place_is_status(place: &StoredPlace) -> bool {
    matches!(place, StoredPlace::Parked { .. } | StoredPlace::Dropped)
}
