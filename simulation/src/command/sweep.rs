use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::process::ExitCode;
use std::sync::Mutex;

use super::run::tell_failure;
use crate::level::{self, PlanError};
use crate::plan::{Outcome, Plan};

/// Runs `seeds` plans, each with a seed of its own from `from` on, in `jobs` threads.
///
/// # Errors
/// The plan is impossible.
pub fn sweep(plan: &Plan, from: u64, seeds: u64, jobs: usize) -> Result<ExitCode, PlanError> {
    let simulator = level::check(plan)?;
    let (events, builds, restarts) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let simulated = AtomicU64::new(0);
    let failed = parallel(from, seeds, jobs, |seed| {
        let plan = Plan { seed, ..plan.clone() };
        let outcome = level::run(&plan).ok()?;
        events.fetch_add(outcome.events, Ordering::Relaxed);
        builds.fetch_add(outcome.builds, Ordering::Relaxed);
        restarts.fetch_add(outcome.restarts, Ordering::Relaxed);
        simulated.fetch_add(outcome.simulated_ms, Ordering::Relaxed);
        outcome.failure.is_some().then_some((plan, outcome))
    });
    if let Some((plan, outcome)) = failed {
        tell_failure(&plan, &outcome)?;
        return Ok(ExitCode::FAILURE);
    }
    println!(
        "{seeds} seeds of the level {}, {} events, {} builds, {} restarts of the coordinator, {} \
         days of virtual time: all properties hold",
        simulator.level,
        events.into_inner(),
        builds.into_inner(),
        restarts.into_inner(),
        simulated.into_inner() / 86_400_000
    );
    Ok(ExitCode::SUCCESS)
}

/// Tries seeds in several threads until one gives something: of those, what the smallest gave.
pub fn parallel(
    from: u64,
    seeds: u64,
    jobs: usize,
    one: impl Fn(u64) -> Option<(Plan, Outcome)> + Sync,
) -> Option<(Plan, Outcome)> {
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let found: Mutex<Option<(Plan, Outcome)>> = Mutex::new(None);
    let end = from.saturating_add(seeds);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                // Seeds are begun in order: when one gives something, the smaller ones were begun.
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let Some(new) = one(seed) else { continue };
                    stop.store(true, Ordering::Relaxed);
                    let mut found = found.lock().expect("no thread panics while it holds it");
                    if found.as_ref().is_none_or(|(old, _)| new.0.seed < old.seed) {
                        *found = Some(new);
                    }
                }
            });
        }
    });
    found.into_inner().expect("no thread panics while it holds it")
}
