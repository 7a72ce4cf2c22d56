//! What must hold when all work is done, and when everybody is gone.

use core::time::Duration;
use std::collections::BTreeMap;

use rebuilder_actors::port::BlobName;
use rebuilder_actors::protocol::stored::{
    self, DifferenceRecord, JobState, Outcome, Record, ReportRecord, StoredPlace,
};
use rebuilder_actors::protocol::wire::v1::ctl::{Package, PackageFilter, Request, Response};
use rebuilder_actors::protocol::{AttemptId, BuildId, Sha256, Verdict};

use super::director::Director;
use super::run::states;
use super::world::{Cluster, lock};

/// Time for the last tasks to end: idle connections and timers that nobody waits for.
const LAST_TASKS: Duration = Duration::from_secs(300);
/// Time in which everybody has begun.
const START: Duration = Duration::from_secs(30);
/// Tasks of the world itself: the one that delivers datagrams.
const OWN_TASKS: usize = 1;

/// Looks at the blobs and through the eyes of a reader.
pub(super) async fn check(director: &mut Director) {
    let world = director.world.clone();
    if let Err(broken) = logs_are_kept(director) {
        world.fail("logs_are_kept", broken);
    } else if let Err(broken) = readers_see_what_is_stored(director).await {
        world.fail("readers_see_what_is_stored", broken);
    } else if let Err(broken) = nothing_is_kept_in_vain(director).await {
        world.fail("nothing_is_kept_in_vain", broken);
    }
}

/// Nothing that belonged to a process is left behind when it is gone.
pub(super) async fn check_tasks(world: &Cluster) {
    tokio::time::sleep(LAST_TASKS).await;
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    if alive > OWN_TASKS {
        let text = format!("{alive} tasks are left when everybody is gone");
        world.fail("nothing_outlives_its_process", text);
    }
}

fn reports(director: &Director) -> Vec<ReportRecord> {
    records(director, |report| report)
}

/// Something of every record of a table.
fn records<R: Record, T>(director: &Director, of: fn(R) -> T) -> Vec<T> {
    let disk = lock(&director.coordinator.store);
    let records = disk.content().iter().filter(|(key, _)| key[0] == R::TABLE);
    records.filter_map(|(_, value)| stored::read(value).ok()).map(of).collect()
}

/// The log of every accepted report is kept whole.
fn logs_are_kept(director: &Director) -> Result<(), String> {
    let blobs = lock(&director.coordinator.blobs);
    let missing = |report: &ReportRecord| report.log_bytes > 0 && !blobs.has(&report.log);
    match reports(director).into_iter().find(missing) {
        Some(report) => Err(format!("the log of attempt {} is lost", report.attempt)),
        None => Ok(()),
    }
}

/// Everybody begins once more: what nothing names is gone then, logs and differences, and no more.
/// In one world of four, as so many connections cost about a tenth of a world.
async fn nothing_is_kept_in_vain(director: &mut Director) -> Result<(), String> {
    if !director.world.random("last start").percent(25) {
        return Ok(());
    }
    // Of what somebody is at, the log stays.
    let mut built = under_way(director);
    director.coordinator.crash("the last start");
    director.coordinator.start().await;
    director.peace(START).await;
    if in_vain(director, &mut built).is_some() {
        // A log may just be kept whose report is on its way to the store.
        director.peace(START).await;
    }
    if let Some(name) = in_vain(director, &mut built) {
        return Err(format!("the coordinator keeps {name}, and nothing names it"));
    }
    // Now, for removed reports may come back and be sent once more, each with its log.
    for worker in &mut director.workers {
        worker.crash("the last start");
        worker.start().await;
    }
    director.peace(START).await;
    for worker in &director.workers {
        if let Some(name) = lock(&worker.logs).unnamed(|_| false) {
            return Err(format!("worker-{} keeps {name} and has no report", worker.number));
        }
    }
    logs_are_kept(director)
}

/// What the coordinator keeps that nothing names, not even what was `built` or is now.
fn in_vain(director: &Director, built: &mut Vec<AttemptId>) -> Option<String> {
    let mut named: Vec<Sha256> = records(director, |r: ReportRecord| r.log);
    named.extend(records(director, |d: DifferenceRecord| d.sha256));
    built.extend(under_way(director));
    lock(&director.coordinator.blobs).unnamed(|name| match name {
        BlobName::Sealed(digest) => named.contains(&digest),
        BlobName::Part(part) => built.iter().any(|attempt| *part == format!("log-{attempt}")),
    })
}

/// Attempts that somebody is at: of what left the index meanwhile, or the rest would not be done.
fn under_way(director: &Director) -> Vec<AttemptId> {
    let disk = lock(&director.coordinator.store);
    let states = disk.content().iter().filter(|(key, _)| key[0] == JobState::TABLE);
    let leased = states.filter_map(|(key, value)| {
        let (job, state) = stored::entry::<JobState>(key, value).ok()?;
        let leased = matches!(state.place, StoredPlace::Leased { .. });
        leased.then_some(AttemptId { job, epoch: state.epoch })
    });
    leased.collect()
}

/// What ctl is told is what the store says.
async fn readers_see_what_is_stored(director: &mut Director) -> Result<(), String> {
    let (mut decided, mut dropped, mut artifacts) = (0, 0, 0);
    for (job, state) in states(director).into_iter().filter(|(j, _)| !j.memberships.is_empty()) {
        decided += u32::from(state.place == StoredPlace::Decided);
        dropped += u32::from(state.place == StoredPlace::Dropped);
        artifacts += job.memberships.iter().map(|m| m.artifacts.len()).sum::<usize>();
    }
    let answer = director.operator.ask(&Request::Status).await?;
    let [Response::Status(status)] = answer.as_slice() else {
        return Err(format!("no status: {answer:?}"));
    };
    let jobs = &status.jobs;
    let busy = jobs.ready + jobs.delayed + jobs.running + jobs.parked;
    if (jobs.decided, jobs.dropped, busy) != (decided, dropped, 0) {
        return Err(format!("{decided} are decided and {dropped} dropped, ctl is told {jobs:?}"));
    }
    let rows = director.operator.ask(&Request::Packages(PackageFilter::default())).await?;
    if rows.len() != artifacts {
        return Err(format!("{artifacts} artifacts are wanted, ctl is told of {}", rows.len()));
    }
    let builds: BTreeMap<BuildId, ReportRecord> =
        reports(director).into_iter().filter_map(|r| Some((r.build?, r))).collect();
    for row in &rows {
        let Response::Package(package) = row else { return Err(format!("no package: {row:?}")) };
        check_row(package, &builds)?;
    }
    Ok(())
}

/// What is shown of an artifact is what the build said that it names.
fn check_row(package: &Package, builds: &BTreeMap<BuildId, ReportRecord>) -> Result<(), String> {
    let Some(build) = package.build else { return Ok(()) };
    let Some(report) = builds.get(&build) else {
        return Err(format!("{} shows build {build}, which is not stored", package.file));
    };
    let stored: Option<Verdict> = match &report.outcome {
        Outcome::Verdicts(rows) => {
            rows.iter().find(|(file, ..)| **file == *package.file).map(|(_, verdict, _)| *verdict)
        }
        Outcome::BuildFailed { .. } | Outcome::Fault(_) => None,
    };
    if stored == package.verdict {
        return Ok(());
    }
    let shown = package.verdict;
    Err(format!("{} shows {shown:?}, build {build} said {stored:?}", package.file))
}
