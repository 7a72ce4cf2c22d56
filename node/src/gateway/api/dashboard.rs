use std::collections::BTreeMap;

use axum::extract::State;
use rebuilder_actors::domain::results::listing::{BuildOutcome, Which};
use rebuilder_actors::domain::results::{QueueRow, QueueRows, ReadModel};
use rebuilder_actors::protocol::wire::v1::ctl::{PackageStatus, ShownPlace};
use serde::Serialize;

use super::Api;
use super::answer::{Answer, json};
use super::asked::Asked;
use super::queue::{self, ActiveBuild};
use super::time::naive;

#[derive(Debug, Default, Serialize)]
struct Dashboard {
    rebuilds: Rebuilds,
    jobs: Jobs,
}

/// Source packages, each release and architecture once.
#[derive(Debug, Default, Serialize)]
struct Rebuilds {
    good: u32,
    bad: u32,
    fail: u32,
    unknown: u32,
}

#[derive(Debug, Default, Serialize)]
struct Jobs {
    running: u32,
    /// Could start now.
    available: u32,
    /// Wait for their time.
    pending: u32,
}

pub(super) async fn v1(State(api): State<Api>, asked: Asked) -> Answer {
    let services = api.services().await?;
    let Some(which) = asked.which()? else { return Ok(json(&Dashboard::default())) };
    // Only the origin is asked for.
    let which = Which { name: None, version: None, source: None, ..which };
    let now = services.clock.utc();
    let is_all = which == Which::default();
    let look = |model: &ReadModel| (model.count_sources(&which), model.queue_lengths());
    let (sources, [running, ready, waiting]) = services.views.look_at(now, look).await?;
    let count = |outcome| sources.get(&outcome).copied().unwrap_or(0);
    let jobs = if is_all {
        Jobs { running, available: ready, pending: waiting }
    } else {
        let mut counted = Jobs::default();
        let _scan = api.scan().await?;
        let count = |row: QueueRow| match row.queued.place {
            ShownPlace::Running { .. } => counted.running += 1,
            ShownPlace::Ready => counted.available += 1,
            ShownPlace::Delayed { .. } | ShownPlace::Parked { .. } => counted.pending += 1,
        };
        services.views.each(&QueueRows { which, now }, count).await?;
        counted
    };
    Ok(json(&Dashboard {
        rebuilds: Rebuilds {
            good: count(Some(BuildOutcome::Reproduced)),
            bad: count(Some(BuildOutcome::Differs)),
            fail: count(Some(BuildOutcome::Failed)),
            unknown: count(None),
        },
        jobs,
    }))
}

#[derive(Debug, Default, Serialize)]
struct Suite {
    good: u32,
    unknown: u32,
    bad: u32,
}

#[derive(Debug, Serialize)]
struct OldDashboard {
    /// By component, which is what the peer calls a suite.
    suites: BTreeMap<String, Suite>,
    active_builds: Vec<ActiveBuild>,
    queue_length: u32,
    now: String,
}

pub(super) async fn v0(State(api): State<Api>) -> Answer {
    let services = api.services().await?;
    let now = services.clock.utc();
    let look = |model: &ReadModel| {
        let mut suites = BTreeMap::<String, Suite>::new();
        for (origin, status, count) in model.by_origin() {
            let name = origin.component.as_deref().unwrap_or_default();
            let suite = suites.entry(name.to_owned()).or_default();
            match status {
                PackageStatus::Reproduced => suite.good += count,
                PackageStatus::Differs | PackageStatus::Missing => suite.bad += count,
                _ => suite.unknown += count,
            }
        }
        (suites, queue::length(model))
    };
    let (suites, queue_length) = services.views.look_at(now, look).await?;
    let active_builds = queue::active(&services).await?;
    Ok(json(&OldDashboard { suites, active_builds, queue_length, now: naive(now) }))
}
