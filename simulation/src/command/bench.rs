use core::time::Duration;
use std::process::ExitCode;

use rustix::time::{ClockId, clock_gettime};

use crate::level::{self, PlanError};
use crate::plan::{Outcome, Plan};

/// Runs a few seeds and says how fast on one core: with checkers only, with the oracle after every
/// event, and 30 days of 20 workers.
///
/// # Errors
/// The plan is impossible.
pub fn bench(plan: &Plan, seeds: u64) -> Result<ExitCode, PlanError> {
    let checked = Plan { oracle: false, ..plan.clone() };
    several("checkers only", &checked, seeds)?;
    several("oracle after every event", &Plan { oracle: true, ..plan.clone() }, seeds)?;
    let farm = Plan { workers: Some(20), length: Some(30), ..plan.clone() };
    let (took, outcome) = timed(&Plan { oracle: false, ..farm.clone() })?;
    tell("30 days of 20 workers, checkers only", took, &outcome);
    let (took, outcome) = timed(&Plan { oracle: true, ..farm })?;
    tell("30 days of 20 workers, oracle", took, &outcome);
    Ok(ExitCode::SUCCESS)
}

fn several(what: &str, plan: &Plan, seeds: u64) -> Result<(), PlanError> {
    let (mut took, mut events) = (Duration::ZERO, 0);
    for seed in plan.seed..plan.seed.saturating_add(seeds) {
        let (one, outcome) = timed(&Plan { seed, ..plan.clone() })?;
        took += one;
        events += outcome.events;
    }
    let rate = events as f64 / took.as_secs_f64();
    println!("{what}: {seeds} seeds, {events} events in {took:.2?}: {rate:.0} events/s");
    Ok(())
}

fn tell(what: &str, took: Duration, outcome: &Outcome) {
    let rate = outcome.events as f64 / took.as_secs_f64();
    let speed = outcome.simulated_ms as f64 / 1000.0 / took.as_secs_f64();
    println!(
        "{what}: {} events in {took:.2?}: {rate:.0} events/s, {speed:.0} simulated seconds/s",
        outcome.events
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
