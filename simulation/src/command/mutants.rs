use std::process::ExitCode;

use rebuilder_actors::planted::{self, Bug};

use super::sweep::parallel;
use crate::level::{self, PlanError};
use crate::plan::{Level, Plan};

/// Plants every bug of the level, or one, and says which checker found it after how many seeds. It
/// fails when one is not found.
///
/// # Errors
/// The plan is impossible.
pub fn mutants(
    plan: &Plan,
    only: Option<Bug>,
    seeds: u64,
    jobs: usize,
) -> Result<ExitCode, PlanError> {
    level::check(plan)?;
    if cfg!(not(feature = "planted")) {
        return Err(PlanError::NotPlanted);
    }
    let mut missed = 0;
    let bugs = Bug::ALL
        .iter()
        .copied()
        .filter(|bug| only.map_or_else(|| is_of(*bug, plan.level), |only| only == *bug));
    let mut tried = 0;
    for bug in bugs {
        tried += 1;
        let found = parallel(plan.seed, seeds, jobs, |seed| {
            let plan = Plan { seed, bug: Some(bug), ..plan.clone() };
            let outcome = level::run(&plan).ok()?;
            outcome.failure.is_some().then_some((plan, outcome))
        });
        match found {
            Some((found, outcome)) => {
                let checker = outcome.failure.map(|failure| failure.checker).unwrap_or_default();
                let after = found.seed - plan.seed + 1;
                println!("{bug:<28} found by {checker:<34} after {after} seeds");
            }
            None => {
                missed += 1;
                println!("{bug:<28} NOT FOUND in {seeds} seeds: {}", bug.about());
            }
        }
    }
    println!("{} of {tried} bugs found", tried - missed);
    Ok(if missed == 0 && tried > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lists every bug.
pub fn list() -> ExitCode {
    for bug in Bug::ALL {
        println!("{bug:<28} {}", bug.about());
    }
    ExitCode::SUCCESS
}

fn is_of(bug: Bug, level: Level) -> bool {
    match bug.level() {
        planted::Level::Both => true,
        planted::Level::Core => level == Level::Core,
        planted::Level::Cluster => level == Level::Cluster,
    }
}
