//! What readers ask, whoever they are: rows in an order, a page at a time. A page costs about what
//! it shows, never more than a millisecond, and goes on behind the last one by its place and not by
//! its number: what changes meanwhile neither repeats a row nor leaves one out.

use super::queue_view::QueuePosition;
use super::read_model::ReadModel;
use crate::domain::filter::FilterError;
use crate::protocol::wire::v1::ctl::WorkerCapabilities;
use crate::protocol::wire::v1::ctl::{PackageFilter, Profile, Queued, Trouble, Worker};
use crate::protocol::wire::v1::history::DatedPackage;
use crate::protocol::{InputId, UtcMillis, WorkerId};

/// Rows, and where the next ones are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<Row, Cursor = InputId> {
    /// Perhaps none although there are more: so much was looked at as one page may cost.
    pub rows: Vec<Row>,
    /// To go on behind; `None`: there is no more.
    pub next: Option<Cursor>,
}

impl<Row, Cursor> Page<Row, Cursor> {
    /// The first `limit` of these rows, each in its place.
    fn of(rows: impl Iterator<Item = Row>, limit: usize, place: impl Fn(&Row) -> Cursor) -> Self {
        let rows: Vec<Row> = rows.take(limit).collect();
        let next = rows.last().map(place).filter(|_| rows.len() == limit);
        Self { rows, next }
    }
}

/// A question that is answered in pages.
pub trait Query {
    /// What is listed.
    type Row;
    /// A place between rows.
    type Cursor;

    /// About `limit` rows behind `after`.
    ///
    /// # Errors
    /// The question makes no sense; nothing is listed.
    fn page(
        &self,
        model: &ReadModel,
        after: Option<Self::Cursor>,
        limit: usize,
    ) -> Result<Page<Self::Row, Self::Cursor>, FilterError>;

    /// The time that it is asked at, where rows depend on it: what is due by then is ready.
    fn now(&self) -> Option<UtcMillis> {
        None
    }
}

/// Artifacts that any of these matches, each once, of whole jobs in the order of their numbers.
#[derive(Clone, Debug)]
pub struct Packages(pub Vec<PackageFilter>);

impl Query for Packages {
    type Row = DatedPackage;
    type Cursor = InputId;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<InputId>,
        limit: usize,
    ) -> Result<Page<DatedPackage>, FilterError> {
        model.packages(&self.0, after, limit)
    }
}

/// Wanted jobs that any of these matches, in the order of their numbers.
#[derive(Clone, Debug)]
pub struct Jobs(pub Vec<PackageFilter>);

impl Query for Jobs {
    type Row = InputId;
    type Cursor = InputId;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<InputId>,
        _: usize,
    ) -> Result<Page<InputId>, FilterError> {
        model.matching_jobs(&self.0, after)
    }
}

/// Jobs that this matches and whose last attempts ended in faults, in the order of their numbers.
#[derive(Clone, Debug)]
pub struct Faults(pub PackageFilter);

impl Query for Faults {
    type Row = Trouble;
    type Cursor = InputId;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<InputId>,
        _: usize,
    ) -> Result<Page<Trouble>, FilterError> {
        model.faults(&self.0, after)
    }
}

/// The queue in its order: what runs, what is ready, and what waits for a moment.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// As it stands then.
    pub now: UtcMillis,
    /// With what waits for a moment.
    pub planned: bool,
}

impl Query for Rows {
    type Row = Queued;
    type Cursor = QueuePosition;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<QueuePosition>,
        limit: usize,
    ) -> Result<Page<Queued, QueuePosition>, FilterError> {
        Ok(model.queue(self.planned, after, limit))
    }

    fn now(&self) -> Option<UtcMillis> {
        Some(self.now)
    }
}

/// Workers that were ever enrolled, in the order of their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Workers;

impl Query for Workers {
    type Row = Worker;
    type Cursor = WorkerId;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<WorkerId>,
        limit: usize,
    ) -> Result<Page<Worker, WorkerId>, FilterError> {
        Ok(Page::of(model.workers(after), limit, |row| row.id))
    }
}

/// What the machines of connected workers give to builds, in the order of their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities;

impl Query for Capabilities {
    type Row = WorkerCapabilities;
    type Cursor = WorkerId;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<WorkerId>,
        limit: usize,
    ) -> Result<Page<WorkerCapabilities, WorkerId>, FilterError> {
        Ok(Page::of(model.capabilities(after), limit, |row| row.worker))
    }
}

/// Profiles that are configured or were synced, by name: as many as a configuration names, in one
/// page.
#[derive(Clone, Copy, Debug)]
pub struct Profiles;

impl Query for Profiles {
    type Row = Profile;
    type Cursor = ();

    fn page(
        &self,
        model: &ReadModel,
        _: Option<()>,
        _: usize,
    ) -> Result<Page<Profile, ()>, FilterError> {
        Ok(Page { rows: model.profiles(), next: None })
    }
}

/// What somebody should know: of workers by number, then of profiles.
#[derive(Clone, Copy, Debug)]
pub struct Troubles {
    /// As it is then.
    pub now: UtcMillis,
}

impl Query for Troubles {
    type Row = Trouble;
    type Cursor = WorkerId;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<WorkerId>,
        limit: usize,
    ) -> Result<Page<Trouble, WorkerId>, FilterError> {
        let mut rows = Vec::new();
        for (id, troubles) in model.troubles_of_workers(self.now, after) {
            rows.extend(troubles);
            if rows.len() >= limit {
                return Ok(Page { rows, next: Some(id) });
            }
        }
        rows.extend(model.troubles());
        Ok(Page { rows, next: None })
    }
}
