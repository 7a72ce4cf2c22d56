use axum::extract::State;
use rebuilder_actors::actor::coordinator::Services;
use rebuilder_actors::domain::results::{ReadModel, Workers};
use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::wire::v1::ctl::{RunningJob, Worker};
use serde::Serialize;

use super::super::Path;
use super::Api;
use super::answer::{Answer, Failure, json};
use super::asked::Asked;
use super::list::List;
use super::time::naive;

/// A row of `GET workers`; the key is not told, as in the peer.
#[derive(Debug, Serialize)]
pub(super) struct WorkerRow {
    id: i32,
    name: String,
    /// Of its connection; empty while there is none.
    address: String,
    /// What it works on; `None`: it is idle or away.
    status: Option<String>,
    last_ping: String,
    is_online: bool,
}

pub(super) async fn list(State(api): State<Api>, asked: Asked) -> Answer {
    let services = api.services().await?;
    let paging = asked.paging()?;
    if let Some(column) = paging.sort.as_deref().filter(|column| *column != "id") {
        return Err(Failure::Asked(format!("no sort {column:?} of workers: id")));
    }
    let mut rows = rows(&services).await?;
    let total = rows.len();
    rows.retain(|row| paging.after.is_none_or(|id| row.id > id));
    rows.retain(|row| paging.before.is_none_or(|id| row.id < id));
    if paging.descending {
        rows.reverse();
    }
    rows.truncate(paging.limit);
    Ok(json(&List { total, records: rows }))
}

pub(super) async fn one(State(api): State<Api>, Path(id): Path<i32>) -> Answer {
    let services = api.services().await?;
    let row = rows(&services).await?.into_iter().find(|row| row.id == id);
    Ok(json(&row.ok_or(Failure::Absent)?))
}

/// Workers that have their rights.
async fn rows(services: &Services) -> Result<Vec<WorkerRow>, Failure> {
    let now = services.clock.utc();
    let running = services.views.look(|model: &ReadModel| model.running(now)).await?;
    let mut rows = Vec::new();
    let each = |worker: Worker| {
        if !worker.revoked {
            rows.push(row(worker, &running));
        }
    };
    services.views.each(&Workers, each).await?;
    Ok(rows)
}

fn row(worker: Worker, running: &[RunningJob]) -> WorkerRow {
    let work: Vec<String> = running
        .iter()
        .filter(|job| job.worker == worker.id)
        .map(|job| format!("{} {}", job.key.source, job.key.version))
        .collect();
    WorkerRow {
        id: worker.id.0,
        name: worker.name,
        status: (!work.is_empty()).then(|| format!("working hard on {}", work.join(", "))),
        last_ping: naive(worker.last_seen.unwrap_or(UtcMillis(0))),
        is_online: worker.address.is_some(),
        address: worker.address.unwrap_or_default(),
    }
}
