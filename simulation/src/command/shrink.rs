use std::process::ExitCode;

use super::run::tell_failure;
use crate::level::{self, PlanError};
use crate::plan::{Failure, Plan};

/// Looks for the smallest plan that breaks the same property: faults first, then workers, then
/// time.
///
/// # Errors
/// The plan is impossible.
pub fn shrink(plan: &Plan) -> Result<ExitCode, PlanError> {
    let simulator = level::check(plan)?;
    let mut best = plan.clone();
    let Some(Failure { checker, .. }) = level::run(&best)?.failure else {
        println!("seed {}: all properties hold, there is nothing to shrink", plan.seed);
        return Ok(ExitCode::FAILURE);
    };
    println!("{checker} breaks; looking for the least that breaks it");
    let breaks = |plan: &Plan| -> Result<bool, PlanError> {
        Ok(level::run(plan)?.failure.is_some_and(|failure| failure.checker == checker))
    };
    // Named one by one they strike as often as they were drawn.
    best.faults = Some((simulator.drawn)(plan));
    let mut at = 0;
    while let Some(faults) = best.faults.clone().filter(|faults| at < faults.len()) {
        let mut fewer = faults.clone();
        let without = fewer.remove(at);
        let smaller = Plan { faults: Some(fewer), ..best.clone() };
        if breaks(&smaller)? {
            println!("without {without}: still");
            best = smaller;
            // What was needed before may be needed no more.
            at = 0;
        } else {
            at += 1;
        }
    }
    for workers in 1..=plan.workers.unwrap_or(8).min(8) {
        let smaller = Plan { workers: Some(workers), ..best.clone() };
        if breaks(&smaller)? {
            println!("with {workers} workers: still");
            best = smaller;
            break;
        }
    }
    for length in 1..plan.length.unwrap_or(simulator.length_usual) {
        let smaller = Plan { length: Some(length), ..best.clone() };
        if breaks(&smaller)? {
            println!("with {length} {}: still", plan.level.unit());
            best = smaller;
            break;
        }
    }
    let outcome = level::run(&best)?;
    tell_failure(&best, &outcome)?;
    Ok(ExitCode::SUCCESS)
}
