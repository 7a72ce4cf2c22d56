//! What an admin may have done to the queue.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rebuilder_actors::actor::coordinator::Services;
use rebuilder_actors::domain::queue::Order;
use rebuilder_actors::domain::results::ReadModel;
use rebuilder_actors::domain::results::listing::{
    BuildOutcome, Gather, NameIs, Source, Which, fetch,
};
use rebuilder_actors::protocol::InputId;
use rebuilder_actors::protocol::wire::v1::ctl::{self, RefusalCode};
use serde::{Deserialize, Serialize};

use super::super::{Admin, Json, Path};
use super::Api;
use super::answer::{Answer, Failure, json};
use super::asked::Asked;

/// Which jobs are queued again. Unknown fields are refused: one that is misspelt would choose all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueJobRequest {
    #[serde(default)]
    distribution: Option<String>,
    #[serde(default)]
    release: Option<String>,
    #[serde(default)]
    component: Option<String>,
    /// Of the source package.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    architecture: Option<String>,
    /// What is shown of the source package.
    #[serde(default)]
    status: Option<Status>,
    /// Smaller is sooner.
    #[serde(default)]
    priority: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Good,
    Bad,
    Fail,
    Unkwn,
}

impl Status {
    fn is_of(self, outcome: Option<BuildOutcome>) -> bool {
        outcome
            == match self {
                Self::Good => Some(BuildOutcome::Reproduced),
                Self::Bad => Some(BuildOutcome::Differs),
                Self::Fail => Some(BuildOutcome::Failed),
                Self::Unkwn => None,
            }
    }
}

/// Smaller is sooner: what an operator asks for comes before all else.
const MANUAL: i32 = 0;

#[derive(Debug, Serialize)]
struct Affected {
    affected: u32,
}

/// Queues what matches again, now.
pub(super) async fn push(
    _: Admin,
    State(api): State<Api>,
    Json(request): Json<QueueJobRequest>,
) -> Answer {
    let which = Which {
        distribution: request.distribution,
        releases: request.release.into_iter().collect(),
        component: request.component,
        architecture: request.architecture,
        name: request.name.map(NameIs::Exactly),
        version: request.version,
        source: None,
    };
    if which == Which::default() && request.status.is_none() {
        return Err(everything("queue again"));
    }
    let services = api.services().await?;
    let jobs = jobs(&services, which, request.status).await?;
    let priority = request.priority.unwrap_or(MANUAL);
    let affected = ordered(&services, Order::PushJobs { jobs, priority }).await?;
    Ok(json(&Affected { affected }))
}

/// Takes what matches out of the queue until its version changes.
pub(super) async fn drop(_: Admin, State(api): State<Api>, asked: Asked) -> Answer {
    // What is misspelt or empty would choose more than is meant.
    asked.only(&["distribution", "release", "component", "architecture", "name", "version"])?;
    let Some(which) = asked.which()? else { return Ok(done()) };
    if which == Which::default() {
        return Err(everything("take out of the queue"));
    }
    let services = api.services().await?;
    let jobs = jobs(&services, which, None).await?;
    ordered(&services, Order::DropJobs { jobs }).await?;
    Ok(done())
}

/// Takes one job out of the queue.
pub(super) async fn drop_one(_: Admin, State(api): State<Api>, Path(id): Path<i32>) -> Answer {
    let (services, job) = (api.services().await?, InputId(id));
    let now = services.clock.utc();
    let stands = |model: &ReadModel| model.position(job).is_some();
    if !services.views.look_at(now, stands).await? {
        return Err(Failure::Absent);
    }
    ordered(&services, Order::DropJobs { jobs: vec![job] }).await?;
    Ok(done())
}

fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn everything(what: &str) -> Failure {
    Failure::Asked(format!(
        "nothing says what to {what}: name at least one of distribution, release, component, name, \
         version, architecture or status"
    ))
}

/// Jobs whose source packages match, each once.
async fn jobs(
    services: &Services,
    which: Which,
    status: Option<Status>,
) -> Result<Vec<InputId>, Failure> {
    let gather = Gather::<Source>::new(which);
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let page = services.views.page(&gather, after, usize::MAX).await?;
        let found = services.views.look(|model| fetch::<Source>(model, &page.rows)).await?;
        let found = found.into_iter().filter(|row| status.is_none_or(|s| s.is_of(row.outcome)));
        jobs.extend(found.map(|row| row.job));
        after = page.next;
        if after.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    jobs.sort_unstable();
    jobs.dedup();
    Ok(jobs)
}

/// Has an order carried out; how many jobs it changed. None is no fault here, as in the peer.
async fn ordered(services: &Services, order: Order) -> Result<u32, Failure> {
    for answer in services.order(order).await? {
        match answer {
            ctl::Response::Done { affected, .. } => return Ok(affected),
            ctl::Response::Refused { code: RefusalCode::NotFound, .. } => return Ok(0),
            ctl::Response::Refused { text, .. } => return Err(Failure::Asked(text)),
            _ => {}
        }
    }
    Err(Failure::Broken("the queue did not answer an order".to_owned()))
}
