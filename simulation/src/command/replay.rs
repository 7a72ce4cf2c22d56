use std::path::Path;
use std::process::ExitCode;

use rebuilder_actors::planted::{Bug, UnknownBug};
use serde::Deserialize;

use crate::level::{self, PlanError};
use crate::plan::{Failure, Level, Plan};

/// A file that keeps what once broke: the world that showed it, and the bug that puts it back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What happened, for people.
    pub about: String,
    /// `core` or `cluster`.
    pub level: String,
    /// Makes the world. A change of the system may shift what a seed draws: with the bug planted,
    /// the [`SEEDS`] from this one on are tried.
    pub seed: u64,
    /// Absent: drawn from the seed.
    pub workers: Option<u16>,
    /// In the level's unit; absent: its usual one.
    pub length: Option<u32>,
    /// Absent: drawn from the seed.
    pub faults: Option<Vec<String>>,
    /// With this bug planted it breaks again; absent: there is none.
    pub bug: Option<String>,
    /// The checker that finds the bug.
    pub found_by: Option<String>,
}

/// Seeds from a scenario's own on, in one of which its bug must show.
pub const SEEDS: u64 = 100;

/// Why a scenario cannot be run, or does not show what it is kept for.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// No file.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Not a scenario.
    #[error("{path} is no scenario: {reason}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Neither `core` nor `cluster`.
    #[error("there is no level `{0}`: there are `core` and `cluster`")]
    Level(String),
    /// A name that no bug has.
    #[error(transparent)]
    Bug(#[from] UnknownBug),
    /// Not possible.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    /// There is no such file, or it is no scenario.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::Read { path: name(), error })?;
        toml::from_str(&text)
            .map_err(|error| ScenarioError::Parse { path: name(), reason: error.to_string() })
    }

    /// Its world, with or without its bug.
    ///
    /// # Errors
    /// A level or bug that there is not.
    pub fn plan(&self, with_bug: bool) -> Result<Plan, ScenarioError> {
        let level = match &*self.level {
            "core" => Level::Core,
            "cluster" => Level::Cluster,
            other => return Err(ScenarioError::Level(other.to_owned())),
        };
        let bug: Option<Bug> = match &self.bug {
            Some(name) if with_bug => Some(name.parse()?),
            _ => None,
        };
        Ok(Plan {
            workers: self.workers,
            length: self.length,
            faults: self.faults.clone(),
            bug,
            ..Plan::of(level, self.seed)
        })
    }

    /// The first seed in which the bug is found, by the checker that the scenario names; `None`:
    /// nothing breaks, or it has no bug, or bugs cannot be planted in this build.
    ///
    /// # Errors
    /// It is no scenario, or impossible.
    pub fn broken(&self) -> Result<Option<(u64, Failure)>, ScenarioError> {
        let first = self.plan(true)?;
        if first.bug.is_none() || cfg!(not(feature = "planted")) {
            return Ok(None);
        }
        for seed in self.seed..self.seed.saturating_add(SEEDS) {
            let outcome = level::run(&Plan { seed, ..first.clone() })?;
            let named = |failure: &Failure| {
                self.found_by.as_ref().is_none_or(|checker| *checker == failure.checker)
            };
            if let Some(failure) = outcome.failure.filter(named) {
                return Ok(Some((seed, failure)));
            }
        }
        Ok(None)
    }
}

/// Runs a scenario: the system as it is must hold, and break with the bug planted.
///
/// # Errors
/// It is no scenario, or impossible.
pub fn replay(path: &Path) -> Result<ExitCode, ScenarioError> {
    let scenario = Scenario::read(path)?;
    println!("{}", scenario.about.trim());
    let code = super::run(&scenario.plan(false)?)?;
    if scenario.bug.is_none() || cfg!(not(feature = "planted")) {
        return Ok(code);
    }
    match scenario.broken()? {
        Some((seed, Failure { checker, text, .. })) => {
            println!("with the bug planted, seed {seed}: {checker}: {text}");
            Ok(code)
        }
        None => {
            let (first, last) = (scenario.seed, scenario.seed.saturating_add(SEEDS - 1));
            println!("with the bug planted, seeds {first} to {last} hold: choose another seed");
            Ok(ExitCode::FAILURE)
        }
    }
}
