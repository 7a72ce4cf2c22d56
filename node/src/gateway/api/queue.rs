use axum::extract::State as Given;
use rebuilder_actors::actor::coordinator::Services;
use rebuilder_actors::domain::results::listing::Which;
use rebuilder_actors::domain::results::{JobRow, QueuePosition, QueueRow, QueueRows, ReadModel};
use rebuilder_actors::protocol::wire::v1::ctl::ShownPlace;
use rebuilder_actors::protocol::{Artifact, ArtifactId, InputId, UtcMillis};
use serde::{Deserialize, Serialize};

use super::super::{Json, Path};
use super::Api;
use super::answer::{Answer, Failure, json};
use super::asked::{Asked, ROWS_MAX};
use super::bodies::held;
use super::list::List;
use super::shapes::OfJob;
use super::time::naive;

/// Of `queue`. Its number is the job's: a job stands in the queue once.
#[derive(Debug, Serialize)]
pub(super) struct QueuedJob {
    id: i32,
    #[serde(flatten)]
    job: OfJob,
    url: String,
    next_retry: Option<String>,
    priority: i32,
    queued_at: String,
    started_at: Option<String>,
}

impl From<QueueRow> for QueuedJob {
    fn from(row: QueueRow) -> Self {
        let QueueRow { queued, job, .. } = row;
        let (mut next_retry, mut started_at) = (None, None);
        match queued.place {
            ShownPlace::Ready => {}
            ShownPlace::Delayed { until } => next_retry = Some(naive(until)),
            ShownPlace::Running { since, .. } => started_at = Some(naive(since)),
            ShownPlace::Parked { until, .. } => next_retry = until.map(naive),
        }
        Self {
            id: job.job.0,
            job: OfJob::new(job.key, job.release),
            url: job.url,
            next_retry,
            priority: queued.priority,
            queued_at: naive(queued.queued_at),
            started_at,
        }
    }
}

/// Rows that are looked at in one turn.
const TURN: usize = 200;
/// All of the queue is in memory.
const EVERYTHING: usize = usize::MAX;

/// The queue in its order; `after` and `before` name rows in it.
pub(super) async fn list(Given(api): Given<Api>, asked: Asked) -> Answer {
    let (services, paging) = (api.services().await?, asked.paging()?);
    let Some(which) = asked.which()? else { return Ok(json(&List::<QueuedJob>::nothing())) };
    let is_sorted = paging.sort.is_some() || paging.descending || paging.before.is_some();
    let is_all = which == Which::default();
    let room = api.room(if is_sorted { EVERYTHING } else { paging.limit }).await?;
    let _scan = if is_all && !is_sorted { None } else { Some(api.scan().await?) };
    if is_sorted {
        return Ok(held(sorted(&services, &which, &asked).await?, room));
    }
    let total = if is_all {
        let now = services.clock.utc();
        services.views.look_at(now, length).await? as usize
    } else {
        services.views.count(&QueueRows { which: which.clone(), now: services.clock.utc() }).await?
    };
    let after = match paging.after {
        None => None,
        Some(id) => Some(position(&api, &services, id).await?),
    };
    let rows = rows(&services, &which, after, paging.limit).await?;
    if let Some(last) = rows.last() {
        api.remember(last.job.job, last.position);
    }
    Ok(held(json(&List { total, records: rows }.map(QueuedJob::from)), room))
}

/// Where the row with this number stands, or stood when it was told: the queue goes on while
/// somebody pages through it.
async fn position(api: &Api, services: &Services, id: i32) -> Result<QueuePosition, Failure> {
    if let Some(position) = api.remembered(InputId(id)) {
        return Ok(position);
    }
    let found = services.views.look(|model| model.position(InputId(id))).await?;
    found.ok_or_else(|| {
        Failure::Asked(format!("job {id} does not stand in the queue: begin with its first page"))
    })
}

/// By number, or by when a job was queued, or by its name: all of it is sorted.
async fn sorted(services: &Services, which: &Which, asked: &Asked) -> Answer {
    let paging = asked.paging()?;
    let mut rows = rows(services, which, None, usize::MAX).await?;
    let total = rows.len();
    match paging.sort.as_deref() {
        None | Some("id") => rows.sort_by_key(|row| row.job.job),
        Some("name") => {
            rows.sort_by_cached_key(|row| (row.job.key.source.clone(), row.job.job));
        }
        Some("queued_at") => rows.sort_by_key(|row| (row.queued.queued_at, row.job.job)),
        Some("priority") => rows.sort_by_key(|row| (row.queued.priority, row.job.job)),
        Some(column) => {
            let text = format!("no sort {column:?}: one of id, name, priority, queued_at");
            return Err(Failure::Asked(text));
        }
    }
    let at = |id: Option<i32>| match id {
        None => Ok(None),
        Some(id) => match rows.iter().position(|row| row.job.job.0 == id) {
            Some(at) => Ok(Some(at)),
            None => Err(Failure::Asked(format!("job {id} does not stand in the queue"))),
        },
    };
    let (from, to) = (at(paging.after)?.map_or(0, |at| at + 1), at(paging.before)?);
    rows.truncate(to.unwrap_or(rows.len()));
    rows.drain(..from.min(rows.len()));
    if paging.descending {
        rows.reverse();
    }
    rows.truncate(paging.limit);
    Ok(json(&List { total, records: rows }.map(QueuedJob::from)))
}

/// Rows of the whole queue.
pub(super) fn length(model: &ReadModel) -> u32 {
    model.queue_lengths().iter().sum()
}

/// Up to `limit` rows behind a position.
pub(super) async fn rows(
    services: &Services,
    which: &Which,
    mut after: Option<QueuePosition>,
    limit: usize,
) -> Result<Vec<QueueRow>, Failure> {
    let query = QueueRows { which: which.clone(), now: services.clock.utc() };
    let mut rows = Vec::new();
    while rows.len() < limit {
        // So many are looked at, however few match.
        let page = services.views.page(&query, after, TURN).await?;
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    rows.truncate(limit);
    Ok(rows)
}

pub(super) async fn one(Given(api): Given<Api>, Path(id): Path<i32>) -> Answer {
    let id = InputId(id);
    let services = api.services().await?;
    let now = services.clock.utc();
    let row = services.views.look_at(now, |model| model.queue_row(id)).await?;
    Ok(json(&QueuedJob::from(row.ok_or(Failure::Absent)?)))
}

/// A row of version 0.
#[derive(Debug, Serialize)]
pub(super) struct ActiveBuild {
    id: i32,
    pkgbase: PkgBase,
    version: String,
    queued_at: String,
    worker_id: Option<i32>,
    started_at: Option<String>,
    last_ping: Option<String>,
}

#[derive(Debug, Serialize)]
struct PkgBase {
    name: String,
    version: String,
    distro: String,
    /// The peer leaves it empty.
    suite: &'static str,
    architecture: String,
    input_url: Option<String>,
    artifacts: Vec<PkgArtifact>,
}

#[derive(Debug, Serialize)]
struct PkgArtifact {
    name: String,
    version: String,
    url: String,
}

fn active_build(model: &ReadModel, row: QueueRow, now: UtcMillis) -> ActiveBuild {
    let artifacts = model.artifacts_of(row.job.job).into_iter();
    let artifacts = artifacts.map(|(_, artifact): (ArtifactId, Artifact)| PkgArtifact {
        name: artifact.name.into(),
        version: artifact.version.into(),
        url: artifact.url.into(),
    });
    let (worker_id, since) = match row.queued.place {
        ShownPlace::Running { worker, since } => (Some(worker.0), Some(since)),
        _ => (None, None),
    };
    let JobRow { key, url, .. } = row.job;
    ActiveBuild {
        id: row.queued.job.0,
        version: key.version.to_string(),
        pkgbase: PkgBase {
            name: key.source.into(),
            version: key.version.into(),
            distro: key.distribution.into(),
            suite: "",
            architecture: key.architecture.into(),
            input_url: Some(url).filter(|url| !url.is_empty()),
            artifacts: artifacts.collect(),
        },
        queued_at: naive(row.queued.queued_at),
        worker_id,
        started_at: since.map(naive),
        // A lease that ran out is none: whoever has one was heard of.
        last_ping: since.map(|_| naive(now)),
    }
}

/// What runs, at most [`ROWS_MAX`] of it.
pub(super) async fn active(services: &Services) -> Result<Vec<ActiveBuild>, Failure> {
    let now = services.clock.utc();
    let counts = services.views.look_at(now, |model| model.job_counts(now)).await?;
    // They stand before all others.
    let mut rows = old_rows(services, ROWS_MAX.min(counts.running as usize)).await?;
    // One that ended meanwhile leaves its place to another.
    rows.retain(|row| row.started_at.is_some());
    Ok(rows)
}

/// The head of the queue.
async fn old_rows(services: &Services, limit: usize) -> Result<Vec<ActiveBuild>, Failure> {
    let now = services.clock.utc();
    let mut found = Vec::new();
    let rows = rows(services, &Which::default(), None, limit).await?;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let part: Vec<QueueRow> = rows.by_ref().take(TURN).collect();
        let look = |model: &ReadModel| -> Vec<ActiveBuild> {
            part.into_iter().map(|row| active_build(model, row, now)).collect()
        };
        found.extend(services.views.look(look).await?);
        tokio::task::yield_now().await;
    }
    Ok(found)
}

#[derive(Debug, Deserialize)]
pub(super) struct OldListing {
    #[serde(default)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize)]
struct OldQueue {
    now: String,
    queue: Vec<ActiveBuild>,
}

/// Version 0 asks with a body.
pub(super) async fn v0(Given(api): Given<Api>, Json(asked): Json<OldListing>) -> Answer {
    let services = api.services().await?;
    let limit = asked.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(ROWS_MAX);
    let limit = limit.min(ROWS_MAX);
    let room = api.room(limit).await?;
    let queue = old_rows(&services, limit).await?;
    Ok(held(json(&OldQueue { now: naive(services.clock.utc()), queue }), room))
}
