use super::builds::JobRow;
use super::listing::Which;
use super::query::{Page, Query};
use super::queue_view::QueuePosition;
use super::read_model::ReadModel;
use crate::domain::filter::FilterError;
use crate::protocol::wire::v1::ctl::Queued;
use crate::protocol::{InputId, UtcMillis};

/// A job of the queue, with what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Where it stands.
    pub queued: Queued,
    /// What it is.
    pub job: JobRow,
    /// To go on behind it, wherever it is by then.
    pub position: QueuePosition,
}

/// The queue in its order, with what waits for a moment: the jobs whose source packages match.
#[derive(Clone, Debug)]
pub struct QueueRows {
    /// Of which source packages.
    pub which: Which,
    /// As it stands then.
    pub now: UtcMillis,
}

impl Query for QueueRows {
    type Row = QueueRow;
    type Cursor = QueuePosition;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<QueuePosition>,
        limit: usize,
    ) -> Result<Page<QueueRow, QueuePosition>, FilterError> {
        let page = model.queue(true, after, limit);
        let rows = page.rows.into_iter().filter_map(|queued| {
            let job = model.matching_job(queued.job, &self.which)?;
            let position = model.position(queued.job)?;
            Some(QueueRow { queued, job, position })
        });
        Ok(Page { rows: rows.collect(), next: page.next })
    }

    fn now(&self) -> Option<UtcMillis> {
        Some(self.now)
    }
}

impl ReadModel {
    /// Where a job stands in the queue, if it does.
    pub fn position(&self, job: InputId) -> Option<QueuePosition> {
        let view = self.jobs.get(&job).filter(|view| view.job.is_wanted())?;
        self.standings.position(job, view.stand.as_ref()?)
    }

    /// Jobs that the rows of the queue have: with a worker, ready, and waiting for a moment.
    pub fn queue_lengths(&self) -> [u32; 3] {
        self.standings.lengths()
    }

    /// One job of the queue.
    pub fn queue_row(&self, job: InputId) -> Option<QueueRow> {
        let position = self.position(job)?;
        Some(QueueRow { queued: self.row(position)?, job: self.job_row(job)?, position })
    }
}
