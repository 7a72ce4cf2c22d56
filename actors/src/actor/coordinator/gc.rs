//! Which blobs the store names. The others go when a coordinator starts: logs of attempts that
//! were lost, and of reports that were refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use ractor::{ActorProcessingErr, ActorRef};

use super::blobs::{self, log_part};
use super::store;
use crate::domain::queue::Whole;
use crate::planted::{self, Bug};
use crate::port::{BlobName, StoreError, StoreRead};
use crate::protocol::stored::{DifferenceRecord, JobState, ReportRecord, StoredPlace};
use crate::protocol::{AttemptId, Sha256};

/// Has the blobs rid of what nothing names, before anybody may send more: to be called before the
/// queue starts, which lets uploads in once it was restored, and so after this was read.
///
/// A report in some worker's spool may name what goes. Its log is asked for again then: the worker
/// has its copy until the report is answered.
pub(super) fn collect(
    store: &ActorRef<store::Message>,
    blobs: &ActorRef<blobs::Message>,
) -> Result<(), ActorProcessingErr> {
    let blobs = blobs.clone();
    store.cast(store::Message::Read(Box::new(move |store| {
        let kept = Kept::read(store)?;
        let keep: blobs::Keep =
            Arc::new(move |name| kept.names(name) || planted::is(Bug::VainLogsStay));
        // Blobs that are gone by now begin again, and so does this.
        let _ = blobs.cast(blobs::Message::Collect(keep));
        Ok(())
    })))?;
    Ok(())
}

/// What stays.
struct Kept {
    /// Logs of accepted reports, and differences. Sorted.
    sealed: Vec<Sha256>,
    /// Logs of the attempts that somebody is at.
    parts: BTreeSet<String>,
}

impl Kept {
    /// Nothing is to go before all was found: a report that is missing names a log, too.
    fn read(store: &dyn StoreRead) -> Result<Self, StoreError> {
        let (mut sealed, mut parts) = (Vec::new(), BTreeSet::new());
        let mut whole = Whole::default();
        store::scan_records(store, |(), counters| whole.counters(counters))?;
        store::scan_records(store, |sequence, report: ReportRecord| {
            whole.report(sequence, &report);
            if !planted::is(Bug::NamedLogsGo) {
                sealed.push(report.log);
            }
        })?;
        store::scan_records(store, |_, difference: DifferenceRecord| {
            sealed.push(difference.sha256);
        })?;
        store::scan_records(store, |job, state: JobState| {
            whole.state(job, &state);
            if let StoredPlace::Leased { .. } = &state.place {
                parts.insert(log_part(AttemptId { job, epoch: state.epoch }));
            }
        })?;
        let damaged = |reason| StoreError::Damaged { path: store.place(), reason };
        whole.finish().map_err(damaged)?;
        sealed.sort_unstable();
        sealed.dedup();
        Ok(Self { sealed, parts })
    }

    fn names(&self, name: BlobName<'_>) -> bool {
        match name {
            BlobName::Sealed(digest) => self.sealed.binary_search(&digest).is_ok(),
            BlobName::Part(part) => self.parts.contains(part),
        }
    }
}
