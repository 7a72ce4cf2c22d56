use std::collections::BTreeSet;
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
    let of_level = |bug: &Bug| only.map_or_else(|| is_of(*bug, plan.level), |only| only == *bug);
    let bugs: Vec<Bug> = Bug::ALL.iter().copied().filter(of_level).collect();
    let mut missed = 0;
    let mut proved = BTreeSet::new();
    for bug in &bugs {
        let planted = Plan { bug: Some(*bug), ..plan.clone() };
        let Some((after, checker)) = hunt(&planted, seeds, jobs) else {
            missed += 1;
            println!("{bug:<28} NOT FOUND in {seeds} seeds: {}", bug.about());
            continue;
        };
        // What the oracle finds at once proves no checker: they must show what they can alone.
        let alone = Plan { oracle: false, ..planted };
        let alone = if checker == ORACLE { hunt(&alone, seeds.min(ALONE), jobs) } else { None };
        proved.insert(checker.clone());
        match alone {
            Some((seeds, alone)) => {
                println!("{bug:<28} {checker} after {after}, without it {alone} after {seeds}");
                proved.insert(alone);
            }
            None => println!("{bug:<28} {checker} after {after}"),
        }
    }
    println!("{} of {} bugs found, by", bugs.len() - missed, bugs.len());
    println!("  {}", proved.iter().cloned().collect::<Vec<String>>().join("\n  "));
    let good = missed == 0 && !bugs.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Seeds until a planted bug is found, and the checker that found it.
fn hunt(plan: &Plan, seeds: u64, jobs: usize) -> Option<(u64, String)> {
    let (found, outcome) = parallel(plan.seed, seeds, jobs, |seed| {
        let plan = Plan { seed, ..plan.clone() };
        let outcome = level::run(&plan).ok()?;
        outcome.failure.is_some().then_some((plan, outcome))
    })?;
    Some((found.seed - plan.seed + 1, outcome.failure?.checker))
}

/// Seeds in which a checker must find by itself what the oracle finds.
const ALONE: u64 = 60;
/// As the oracle calls itself.
const ORACLE: &str = "oracle";

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
