use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use rebuilder_actors::protocol::stored::{
    self, JobRecord, JobState, Record, ReportRecord, StoredPlace,
};

use super::crypto;
use super::director::Director;
use super::ending;
use super::time::ms;
use super::world::{Node, lock};
use crate::observation::End;
use crate::plan::{Outcome, Plan};

/// Virtual time after which a healed system must have finished: all retries, and some patience.
const HEALING: Duration = Duration::from_secs(12 * 3600);

/// Runs a seed to its end, or to the first broken property. A thread runs one world at a time.
pub(super) fn run(plan: &Plan) -> Outcome {
    crypto::seed(plan.seed);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without threads and files can be made");
    runtime.block_on(live(plan))
}

async fn live(plan: &Plan) -> Outcome {
    let mut director = Director::new(plan);
    let world = director.world.clone();
    let drawn = world.options.to_string();
    world.event(Node::Cluster, &drawn);
    director.trouble().await;
    if !world.has_failed() {
        recover(&mut director).await;
    }
    if !world.has_failed() {
        ending::check(&mut director).await;
    }
    let end = end_of(&director);
    let simulated_ms = ms(world.age());
    let restarts = director.restarts;
    director.end();
    drop(director);
    ending::check_tasks(&world).await;
    let (events, (failure, digest, trace)) = world.finish(plan, &end);
    let builds = end.durable.keys().filter(|key| key[0] == ReportRecord::TABLE).count() as u64;
    Outcome { events, simulated_ms, builds, restarts, drawn, digest, failure, trace }
}

/// Waits until all work is done.
async fn recover(director: &mut Director) {
    let world = director.world.clone();
    let deadline = world.age() + HEALING;
    let mut synced = false;
    while !world.has_failed() {
        director.peace(Duration::from_secs(60)).await;
        let parked = parked(director);
        if !synced || !parked.is_empty() {
            synced = director.operate(parked).await.is_ok();
        }
        let reason = match unfinished(director) {
            None if synced => return,
            None => "the indexes cannot be read".into(),
            Some(reason) => reason,
        };
        if world.age() > deadline {
            let text = format!("{} ms after the trouble {reason}", ms(HEALING));
            world.fail("healed_system_finishes", text);
        }
    }
}

/// Why the work is not done; `None`: it is.
fn unfinished(director: &Director) -> Option<String> {
    if let Some(worker) = director.workers.iter().find(|worker| lock(&worker.spool).len() > 0) {
        return Some(format!("worker-{} holds reports without an answer", worker.number));
    }
    states(director).into_iter().find_map(|(job, state)| {
        let done = job.memberships.is_empty()
            || matches!(state.place, StoredPlace::Decided | StoredPlace::Dropped);
        (!done).then(|| format!("{} {} is {:?}", job.key.source, job.key.version, state.place))
    })
}

/// Sources that are parked.
fn parked(director: &Director) -> BTreeSet<String> {
    let states = states(director).into_iter();
    let parked = states.filter(|(job, state)| {
        !job.memberships.is_empty() && matches!(state.place, StoredPlace::Parked { .. })
    });
    parked.map(|(job, _)| job.key.source.into()).collect()
}

/// Every job in the store, with its state.
pub(super) fn states(director: &Director) -> Vec<(JobRecord, JobState)> {
    let disk = lock(&director.coordinator.store);
    let jobs = disk.content().iter().filter(|(key, _)| key[0] == JobRecord::TABLE);
    let read = jobs.filter_map(|(key, value)| {
        let mut state = key.to_vec();
        state[0] = JobState::TABLE;
        let state = disk.content().get(&state[..])?;
        Some((stored::read(value).ok()?, stored::read(state).ok()?))
    });
    read.collect()
}

fn end_of(director: &Director) -> End {
    let disk = lock(&director.coordinator.store);
    let durable: BTreeMap<Vec<u8>, Vec<u8>> =
        disk.content().iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    End {
        durable,
        wanted: director.distribution.wanted(),
        settings: director.world.settings.clone(),
        spooled: director.workers.iter().map(|worker| lock(&worker.spool).len()).sum(),
    }
}
