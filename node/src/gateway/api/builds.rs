use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rebuilder_actors::actor::coordinator::Services;
use rebuilder_actors::domain::report;
use rebuilder_actors::domain::results::listing::{BuildOutcome, Which};
use rebuilder_actors::domain::results::{BuildRow, Builds, ReadModel, verdict_in};
use rebuilder_actors::port::StoreRead;
use rebuilder_actors::protocol::stored::{self, Outcome, Record, ReportRecord};
use rebuilder_actors::protocol::{Artifact, ArtifactId, BuildId, SignedReport, UtcMillis, Verdict};
use serde::Serialize;

use super::super::Path;
use super::Api;
use super::answer::{Answer, Failure, json};
use super::asked::Asked;
use super::blob;
use super::bodies::held;
use super::list::List;
use super::shapes::{OfJob, artifact_status, build_status};
use super::time::naive;

/// A row of `builds`; times are the coordinator's.
#[derive(Debug, Serialize)]
struct Rebuild {
    id: i32,
    #[serde(flatten)]
    job: OfJob,
    /// Attempts of the job beyond the first, as of now.
    retries: u32,
    started_at: Option<String>,
    built_at: Option<String>,
    status: Option<&'static str>,
}

impl Rebuild {
    fn new(row: BuildRow, record: &ReportRecord) -> Self {
        let BuildRow { build, job, .. } = row;
        // The worker's clock says how long it took, ours says when.
        let took = record.finished_at.0.saturating_sub(record.started_at.0).max(0);
        let started = UtcMillis(record.accepted_at.0.saturating_sub(took));
        Self {
            id: build.0,
            job: OfJob::new(job.key, job.release),
            retries: job.attempts.saturating_sub(1),
            started_at: Some(naive(started)),
            built_at: Some(naive(record.accepted_at)),
            status: BuildOutcome::of(&record.outcome).map(build_status),
        }
    }
}

/// One artifact of a build.
#[derive(Clone, Debug)]
struct Built {
    id: ArtifactId,
    artifact: Artifact,
    verdict: Option<Verdict>,
    has_difference: bool,
}

/// A row of `builds/{id}/artifacts`; without a status where the build says nothing of it.
#[derive(Debug, Serialize)]
struct RebuildArtifact {
    id: i32,
    name: String,
    has_diffoscope: bool,
    has_attestation: bool,
    status: Option<&'static str>,
}

impl From<Built> for RebuildArtifact {
    fn from(built: Built) -> Self {
        Self {
            id: built.id.0,
            name: built.artifact.name.into(),
            has_diffoscope: built.has_difference,
            has_attestation: built.verdict == Some(Verdict::Reproduced),
            status: built.verdict.map(|verdict| artifact_status(Some(verdict))),
        }
    }
}

/// Builds that are read from the store in one turn.
const TURN: usize = 100;

pub(super) async fn list(State(api): State<Api>, asked: Asked) -> Answer {
    let (services, paging) = (api.services().await?, asked.paging()?);
    let Some(which) = asked.which()? else { return Ok(json(&List::<Rebuild>::nothing())) };
    if let Some(column) =
        paging.sort.as_deref().filter(|column| !["id", "built_at"].contains(column))
    {
        return Err(Failure::Asked(format!("no sort {column:?} of builds: one of id, built_at")));
    }
    let is_all = which == Which::default();
    let room = api.room(paging.limit).await?;
    let _scan = if is_all { None } else { Some(api.scan().await?) };
    let mut all = Builds { which, ..Builds::default() };
    let total = if is_all {
        services.views.look(ReadModel::builds_len).await?
    } else {
        services.views.count(&all).await?
    };
    all.descending = paging.descending;
    (all.above, all.below) = (paging.after.map(BuildId), paging.before.map(BuildId));
    let mut rows = services.views.first(&all, paging.limit, TURN).await?.into_iter().peekable();
    let mut records = Vec::new();
    while rows.peek().is_some() {
        records.extend(rebuilds(&services, rows.by_ref().take(TURN).collect()).await?);
    }
    Ok(held(json(&List { total, records }), room))
}

async fn rebuilds(services: &Services, rows: Vec<BuildRow>) -> Result<Vec<Rebuild>, Failure> {
    let keys: Vec<_> = rows.iter().map(|row| ReportRecord::key(row.sequence)).collect();
    let read = move |store: &dyn StoreRead| -> Result<Vec<_>, _> {
        keys.iter().map(|key| store.get(key)).collect()
    };
    let values = services.read(read).await?.map_err(|error| Failure::Broken(error.to_string()))?;
    let mut found = Vec::new();
    for (row, value) in rows.into_iter().zip(values) {
        let record = record(row.sequence, value)?;
        found.push(Rebuild::new(row, &record));
    }
    Ok(found)
}

fn record<R: Record>(sequence: u64, value: Option<Bytes>) -> Result<R, Failure> {
    let broken = |why: &str| Failure::Broken(format!("{} {sequence}: {why}", R::PLURAL));
    let value = value.ok_or_else(|| broken("missing in the store"))?;
    stored::read(&value).map_err(|error| broken(&error.to_string()))
}

/// A build and its report.
async fn found(api: &Api, id: i32) -> Result<(Services, BuildRow, ReportRecord), Failure> {
    let services = api.services().await?;
    let look = |model: &ReadModel| {
        let row = model.build(BuildId(id))?;
        let at_hand = model.report_at_hand(row.job.job, row.sequence).cloned();
        Some((row, at_hand))
    };
    let (row, at_hand) = services.views.look(look).await?.ok_or(Failure::Absent)?;
    let report = match at_hand {
        Some(report) => report,
        None => stored_record(&services, row.sequence).await?,
    };
    Ok((services, row, report))
}

/// What the store keeps of a report.
async fn stored_record<R: Record<Key = u64>>(
    services: &Services,
    sequence: u64,
) -> Result<R, Failure> {
    let key = R::key(sequence);
    let value = services.read(move |store| store.get(&key)).await?;
    record(sequence, value.map_err(|error| Failure::Broken(error.to_string()))?)
}

pub(super) async fn one(State(api): State<Api>, Path(id): Path<i32>) -> Answer {
    let (_, row, report) = found(&api, id).await?;
    Ok(json(&Rebuild::new(row, &report)))
}

pub(super) async fn log(State(api): State<Api>, Path(id): Path<i32>) -> Answer {
    let (services, _, report) = found(&api, id).await?;
    if report.log_bytes == 0 {
        return Err(Failure::Absent);
    }
    blob::text(&services, report.log, report.log_bytes).await
}

/// All artifacts of a build; none of a build that there is not, as the peer has it.
pub(super) async fn artifacts(State(api): State<Api>, Path(id): Path<i32>) -> Answer {
    let rows = match found(&api, id).await {
        Ok((services, row, report)) => built(&services, &row, &report).await?,
        Err(Failure::Absent) => Vec::new(),
        Err(failure) => return Err(failure),
    };
    Ok(json(&rows.into_iter().map(RebuildArtifact::from).collect::<Vec<_>>()))
}

pub(super) async fn artifact(
    State(api): State<Api>,
    Path((id, artifact)): Path<(i32, i32)>,
) -> Answer {
    let (_, _, built) = one_built(&api, id, artifact).await?;
    Ok(json(&RebuildArtifact::from(built)))
}

/// What a build made, each with the number under which it is listed. What nobody wants any more has
/// no such number: it is told by its place in the report.
async fn built(
    services: &Services,
    row: &BuildRow,
    report: &ReportRecord,
) -> Result<Vec<Built>, Failure> {
    let (job, build) = (row.job.job, row.build);
    let look = |model: &ReadModel| {
        let known = model.artifacts_of(job);
        let mut rows = if known.is_empty() { unwanted(report) } else { Vec::new() };
        rows.extend(known.into_iter().map(|(id, artifact)| {
            let verdict = verdict_in(report, &artifact);
            Built { id, artifact, verdict, has_difference: false }
        }));
        for built in &mut rows {
            // Of several files of one name, a difference is that of the one that differs.
            built.has_difference = built.verdict == Some(Verdict::Differs)
                && model.difference(build, &built.artifact.file).is_some();
        }
        rows
    };
    Ok(services.views.look(look).await?)
}

/// Artifacts of a report, as far as it tells.
fn unwanted(report: &ReportRecord) -> Vec<Built> {
    let Outcome::Verdicts(rows) = &report.outcome else { return Vec::new() };
    let built = |(at, (file, verdict, _)): (usize, &(Box<str>, Verdict, _))| {
        let mut parts = file.split('_');
        let artifact = Artifact {
            name: parts.next().unwrap_or_default().into(),
            version: parts.next().unwrap_or_default().into(),
            component: None,
            architecture: Box::default(),
            file: file.clone(),
            url: Box::default(),
            size: None,
            sha256: None,
        };
        let id = ArtifactId(i32::try_from(at).unwrap_or(i32::MAX).saturating_add(1));
        Built { id, artifact, verdict: Some(*verdict), has_difference: false }
    };
    rows.iter().enumerate().map(built).collect()
}

async fn one_built(
    api: &Api,
    build: i32,
    artifact: i32,
) -> Result<(Services, BuildRow, Built), Failure> {
    let (services, row, report) = found(api, build).await?;
    let rows = built(&services, &row, &report).await?;
    if let Some(built) = rows.iter().find(|built| built.id.0 == artifact) {
        return Ok((services, row, built.clone()));
    }
    // The same file of another release has a number of its own.
    let job = row.job.job;
    let file = services.views.look(|model| model.file_of(job, ArtifactId(artifact))).await?;
    let (file, sha256) = file.ok_or(Failure::Absent)?;
    let same = |built: &&Built| built.artifact.file == file && built.artifact.sha256 == sha256;
    let built = rows.iter().find(same).cloned().ok_or(Failure::Absent)?;
    Ok((services, row, built))
}

pub(super) async fn diffoscope(
    State(api): State<Api>,
    Path((id, artifact)): Path<(i32, i32)>,
) -> Answer {
    let (services, row, built) = one_built(&api, id, artifact).await?;
    difference(&services, row.build, &built.artifact.file).await
}

/// The difference of the build that is shown, by the number of the artifact alone.
pub(super) async fn diffoscope_of(State(api): State<Api>, Path(id): Path<i32>) -> Answer {
    let (services, id) = (api.services().await?, ArtifactId(id));
    let found = services.views.look(|model| model.shown_build(id)).await?;
    let (build, file) = found.ok_or(Failure::Absent)?;
    difference(&services, build, &file).await
}

async fn difference(services: &Services, build: BuildId, file: &str) -> Answer {
    let kept = |model: &ReadModel| model.difference(build, file).cloned();
    let record = services.views.look(kept).await?.ok_or(Failure::Absent)?;
    blob::text(services, record.sha256, record.size).await
}

pub(super) async fn attestation(
    State(api): State<Api>,
    Path((id, artifact)): Path<(i32, i32)>,
) -> Answer {
    let (services, row, built) = one_built(&api, id, artifact).await?;
    Ok(link(attested(&services, row.sequence, &built).await?, &built.artifact.file))
}

/// The link of an artifact that was reproduced, countersigned; `None`: nothing to vouch for.
async fn attested(
    services: &Services,
    sequence: u64,
    built: &Built,
) -> Result<Option<Bytes>, Failure> {
    if built.verdict != Some(Verdict::Reproduced) {
        return Ok(None);
    }
    let signed: SignedReport = stored_record(services, sequence).await?;
    let Some(link) = signed.links.into_iter().find(|link| *link.file == *built.artifact.file)
    else {
        return Ok(None);
    };
    let link = report::countersign_link(&link.metablock, services.signer.as_ref());
    link.map(Some).map_err(|error| Failure::Broken(error.to_string()))
}

/// A link as it was signed. Where there is none, an empty one: a client counts it as no vote, and
/// any other answer as the end of this rebuilder's votes.
fn link(link: Option<Bytes>, file: &str) -> Response {
    let bytes = link.unwrap_or_else(|| {
        let name = format!("rebuild {file}");
        let empty = serde_json::json!({
            "signatures": [],
            "signed": {
                "_type": "link", "name": name, "materials": {}, "products": {},
                "environment": null, "byproducts": {}, "command": [],
            },
        });
        empty.to_string().into()
    });
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], bytes).into_response()
}

/// Version 0 knows builds alone: the first artifact that has one.
pub(super) async fn first_diffoscope(api: &Api, id: i32) -> Answer {
    let (services, row, report) = found(api, id).await?;
    let rows = built(&services, &row, &report).await?;
    let first = rows.iter().find(|built| built.has_difference).ok_or(Failure::Absent)?;
    difference(&services, row.build, &first.artifact.file).await
}

/// Version 0 again: the first artifact that was reproduced.
pub(super) async fn first_attestation(api: &Api, id: i32) -> Answer {
    let (services, row, report) = found(api, id).await?;
    for built in built(&services, &row, &report).await? {
        if let Some(bytes) = attested(&services, row.sequence, &built).await? {
            return Ok(link(Some(bytes), &built.artifact.file));
        }
    }
    Err(Failure::Absent)
}
