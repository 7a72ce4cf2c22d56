use core::time::Duration;
use std::process::ExitCode;

use rustix::time::{ClockId, clock_gettime};

use crate::level::{self, PlanError};
use crate::plan::{Level, Outcome, Plan};

/// Runs a few seeds and says how fast on one core: with checkers only, with the oracle after every
/// event, 30 days of 20 workers, and half as many seeds of a cluster of 20 workers, with faults and
/// without.
///
/// # Errors
/// The plan is impossible.
pub fn bench(plan: &Plan, seeds: u64) -> Result<ExitCode, PlanError> {
    let checked = Plan { oracle: false, ..plan.clone() };
    several("checkers only", &checked, seeds)?;
    several("oracle after every event", &Plan { oracle: true, ..plan.clone() }, seeds)?;
    let farm = Plan { workers: Some(20), length: Some(30), ..plan.clone() };
    let (took, outcome) = timed(&Plan { oracle: false, ..farm.clone() })?;
    tell("30 days of 20 workers, checkers only", took, outcome.events, outcome.simulated_ms);
    let (took, outcome) = timed(&Plan { oracle: true, ..farm })?;
    tell("30 days of 20 workers, oracle", took, outcome.events, outcome.simulated_ms);
    let level = Level::Cluster;
    let cluster = Plan { level, workers: Some(20), oracle: false, ..plan.clone() };
    several("cluster of 20 workers", &cluster, seeds.div_ceil(2))?;
    let quiet = Plan { faults: Some(Vec::new()), ..cluster };
    several("cluster of 20 workers, no faults", &quiet, seeds.div_ceil(2))?;
    Ok(ExitCode::SUCCESS)
}

fn several(what: &str, plan: &Plan, seeds: u64) -> Result<(), PlanError> {
    let (mut took, mut events, mut simulated_ms) = (Duration::ZERO, 0, 0);
    for seed in plan.seed..plan.seed.saturating_add(seeds) {
        let (one, outcome) = timed(&Plan { seed, ..plan.clone() })?;
        took += one;
        events += outcome.events;
        simulated_ms += outcome.simulated_ms;
    }
    tell(&format!("{what}, {seeds} seeds"), took, events, simulated_ms);
    Ok(())
}

fn tell(what: &str, took: Duration, events: u64, simulated_ms: u64) {
    let rate = events as f64 / took.as_secs_f64();
    let speed = simulated_ms as f64 / 1000.0 / took.as_secs_f64();
    println!(
        "{what}: {events} events in {took:.2?}: {rate:.0} events/s, {speed:.0} simulated seconds/s"
    );
}

/// Time that this thread had on a core: what else runs on the machine does not count.
fn timed(plan: &Plan) -> Result<(Duration, Outcome), PlanError> {
    let used = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let start = used();
    let outcome = level::run(plan)?;
    Ok((used() - start, outcome))
}
