use axum::extract::State;
use rebuilder_actors::actor::coordinator::Services;
use rebuilder_actors::domain::results::ReadModel;
use rebuilder_actors::domain::results::listing::{Binary, Order, Place, Source, Walk, Which};

use rebuilder_actors::protocol::Verdict;

use super::super::Path;
use super::Api;
use super::answer::{Answer, Failure, json};
use super::asked::{Asked, Paging};
use super::bodies::held;
use super::list::{self, List, Sorted, Value};
use super::shapes::{
    BinaryPackage, SourcePackage, TransitionPackage, artifact_status, build_status,
};

impl Sorted for Binary {
    const COLUMNS: &'static [&'static str] = &[
        "version",
        "distribution",
        "release",
        "component",
        "architecture",
        "artifact_url",
        "status",
        "build_id",
        "diffoscope_log_id",
        "attestation_log_id",
        "last_seen",
    ];

    fn id(&self) -> i32 {
        self.id.0
    }

    fn value(&self, column: &str) -> Value {
        let package = &self.listed.package;
        match column {
            "version" => Value::text(Some(&package.version)),
            "distribution" => Value::text(Some(&package.distribution)),
            "release" => Value::text(package.release.as_deref()),
            "component" => Value::text(package.component.as_deref()),
            "architecture" => Value::text(Some(&package.architecture)),
            "artifact_url" => Value::text(Some(&package.url)),
            "status" => Value::text(package.verdict.map(|v| artifact_status(Some(v)))),
            "build_id" => Value::number(package.build.map(|build| build.0)),
            "diffoscope_log_id" => Value::number(package.has_difference.then_some(self.id.0)),
            "attestation_log_id" => {
                Value::number((package.verdict == Some(Verdict::Reproduced)).then_some(self.id.0))
            }
            "last_seen" => Value::number(self.last_seen.map(|at| at.0)),
            _ => Value::Nothing,
        }
    }

    fn count(model: &ReadModel, which: &Which) -> u32 {
        model.count_artifacts(which)
    }
}

impl Sorted for Source {
    const COLUMNS: &'static [&'static str] =
        &["version", "distribution", "release", "status", "build_id", "last_seen"];

    fn id(&self) -> i32 {
        self.id.0
    }

    fn value(&self, column: &str) -> Value {
        match column {
            "version" => Value::text(Some(&self.version)),
            "distribution" => Value::text(Some(&self.distribution)),
            "release" => Value::text(self.release.as_deref()),
            "status" => Value::text(self.outcome.map(build_status)),
            "build_id" => Value::number(self.build.map(|build| build.0)),
            "last_seen" => Value::number(self.last_seen.map(|at| at.0)),
            _ => Value::Nothing,
        }
    }

    fn count(model: &ReadModel, which: &Which) -> u32 {
        model.count_sources(which).values().sum()
    }
}

pub(super) async fn binaries(State(api): State<Api>, asked: Asked) -> Answer {
    let paging = asked.paging()?;
    let room = api.room(paging.limit).await?;
    let list: List<Binary> = list::page(&api, asked.which()?, &paging).await?;
    Ok(held(json(&list.map(BinaryPackage::from)), room))
}

pub(super) async fn sources(State(api): State<Api>, asked: Asked) -> Answer {
    // The peer has no such field here, and ignores it as all that it does not know.
    let which = asked.which()?.map(|which| Which { source: None, ..which });
    let paging = asked.paging()?;
    let room = api.room(paging.limit).await?;
    let list: List<Source> = list::page(&api, which, &paging).await?;
    Ok(held(json(&list.map(SourcePackage::from)), room))
}

pub(super) async fn binary(State(api): State<Api>, Path(id): Path<i32>) -> Answer {
    let services = api.services().await?;
    let found: Binary = by_id(&services, id).await?;
    Ok(json(&BinaryPackage::from(found)))
}

pub(super) async fn source(State(api): State<Api>, Path(id): Path<i32>) -> Answer {
    let services = api.services().await?;
    let found: Source = by_id(&services, id).await?;
    Ok(json(&SourcePackage::from(found)))
}

/// The row with this number; of several, the first.
async fn by_id<L: Sorted>(services: &Services, id: i32) -> Result<L, Failure> {
    let mut walk = Walk::<L>::new(Which::default(), Order::Id);
    walk.above = id.checked_sub(1).map(|id| Place { name: Box::default(), id });
    let page = services.views.page(&walk, None, 1).await?;
    page.rows.into_iter().find(|row| row.id() == id).ok_or(Failure::Absent)
}

/// Rows of one answer about a migration: two releases of a distribution, on one architecture.
const TRANSITION_MAX: usize = 200_000;

/// Packages that a migration asks about, as one flat array: each once.
pub(super) async fn transition(State(api): State<Api>, asked: Asked) -> Answer {
    let paging = Paging { limit: TRANSITION_MAX, ..asked.paging()? };
    let room = api.room(paging.limit).await?;
    let list: List<Binary> = list::page(&api, asked.which()?, &paging).await?;
    let mut rows: Vec<TransitionPackage> =
        list.records.into_iter().map(TransitionPackage::from).collect();
    rows.sort_unstable();
    rows.dedup();
    Ok(held(json(&rows), room))
}
