//! What the command needs to know of a level.

use rebuilder_actors::planted;

use crate::plan::{Level, Outcome, Plan};
use crate::{cluster, core};

/// A level as the command sees it.
#[derive(Clone, Copy, Debug)]
pub struct Simulator {
    /// Which.
    pub level: Level,
    /// Most workers.
    pub workers_max: u16,
    /// Longest time of trouble, in the level's unit.
    pub length_max: u32,
    /// Time of trouble unless a plan says.
    pub length_usual: u32,
    /// Name and meaning of every fault.
    pub faults: fn() -> Vec<(&'static str, &'static str)>,
    /// Names of the faults that a plan has, drawn where it names none.
    pub drawn: fn(&Plan) -> Vec<String>,
    /// Runs a plan to its end, or to the first broken property.
    pub run: fn(&Plan) -> Outcome,
}

/// Every level that this build has.
pub const SIMULATORS: &[Simulator] = &[core::SIMULATOR, cluster::SIMULATOR];

/// A plan that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not built in.
    #[error("this build of the simulation has no level `{0}`: use `--level core`")]
    Level(Level),
    /// No such fault.
    #[error(
        "the level {level} has no fault `{name}`: `cargo sim faults --level {level}` lists them"
    )]
    Fault {
        /// The level.
        level: Level,
        /// As given.
        name: String,
    },
    /// Too few or too many workers.
    #[error("{given} workers: the level {level} takes 1 to {most}")]
    Workers {
        /// The level.
        level: Level,
        /// As given.
        given: u16,
        /// Its limit.
        most: u16,
    },
    /// Too short or too long.
    #[error("{given} {}: the level {level} takes 1 to {most}", .level.unit())]
    Length {
        /// The level.
        level: Level,
        /// As given.
        given: u32,
        /// Its limit.
        most: u32,
    },
    /// Bugs on purpose are a feature.
    #[error("no bug can be planted in this build: build it with `--features planted`")]
    NotPlanted,
}

impl Simulator {
    /// The level, if this build has it.
    ///
    /// # Errors
    /// It does not.
    pub fn of(level: Level) -> Result<&'static Self, PlanError> {
        let found = SIMULATORS.iter().find(|simulator| simulator.level == level);
        found.ok_or(PlanError::Level(level))
    }
}

/// Runs a plan, with its bug planted in this thread.
///
/// # Errors
/// The plan is impossible.
pub fn run(plan: &Plan) -> Result<Outcome, PlanError> {
    let simulator = check(plan)?;
    if plan.bug.is_some() && cfg!(not(feature = "planted")) {
        return Err(PlanError::NotPlanted);
    }
    plant(plan.bug);
    let outcome = (simulator.run)(plan);
    plant(None);
    Ok(outcome)
}

/// The level of a plan, if the plan is possible.
///
/// # Errors
/// The plan is impossible.
pub fn check(plan: &Plan) -> Result<&'static Simulator, PlanError> {
    let level = plan.level;
    let simulator = Simulator::of(level)?;
    let known = (simulator.faults)();
    let mut unknown = plan.faults.iter().flatten();
    if let Some(name) = unknown.find(|name| known.iter().all(|(known, _)| known != name)) {
        return Err(PlanError::Fault { level, name: name.clone() });
    }
    match plan.workers {
        Some(given) if given == 0 || given > simulator.workers_max => {
            Err(PlanError::Workers { level, given, most: simulator.workers_max })
        }
        _ => match plan.length {
            Some(given) if given == 0 || given > simulator.length_max => {
                Err(PlanError::Length { level, given, most: simulator.length_max })
            }
            _ => Ok(simulator),
        },
    }
}

#[cfg(feature = "planted")]
fn plant(bug: Option<planted::Bug>) {
    planted::plant(bug);
}

#[cfg(not(feature = "planted"))]
fn plant(_: Option<planted::Bug>) {}
