use std::process::ExitCode;

use crate::level::{self, PlanError, Simulator};
use crate::plan::{Level, Outcome, Plan};
use crate::witness::moment;

/// Lines of the trace that a failure shows.
const LINES: usize = 200;

/// Runs one plan.
///
/// # Errors
/// It is impossible.
pub fn run(plan: &Plan) -> Result<ExitCode, PlanError> {
    let outcome = level::run(plan)?;
    for line in &outcome.trace {
        println!("{line}");
    }
    if let Some(digest) = &outcome.digest {
        println!("digest {digest}");
    }
    println!("seed {}: {}", plan.seed, outcome.drawn);
    println!(
        "{} events, {} of virtual time, {} builds, {} restarts of the coordinator",
        outcome.events,
        moment(outcome.simulated_ms),
        outcome.builds,
        outcome.restarts
    );
    if outcome.failure.is_none() {
        println!("all properties hold");
        return Ok(ExitCode::SUCCESS);
    }
    tell_failure(plan, &outcome)?;
    Ok(ExitCode::FAILURE)
}

/// Prints what broke, what happened before, and the command that replays it.
///
/// # Errors
/// The plan is impossible.
pub(super) fn tell_failure(plan: &Plan, outcome: &Outcome) -> Result<(), PlanError> {
    let Some(failure) = &outcome.failure else { return Ok(()) };
    if outcome.trace.is_empty() {
        // The same again, this time with its trace.
        let again = level::run(&Plan { trace: true, ..plan.clone() })?;
        let from = again.trace.len().saturating_sub(LINES);
        println!("the last {} events:", again.trace.len() - from);
        for line in &again.trace[from..] {
            println!("{line}");
        }
    }
    println!("seed {} at commit {}: {}", plan.seed, commit(), outcome.drawn);
    println!("{}: {}: {}", moment(failure.at_ms), failure.checker, failure.text);
    println!("replay with: {}", plan.command());
    Ok(())
}

/// Lists the faults of a level.
///
/// # Errors
/// There is no such level.
pub fn faults(level: Level) -> Result<ExitCode, PlanError> {
    for (name, about) in (Simulator::of(level)?.faults)() {
        println!("{name:<18} {about}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What is checked out; `unknown` where git does not say.
fn commit() -> String {
    let output =
        std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".into(), |text| text.trim().to_owned())
}
