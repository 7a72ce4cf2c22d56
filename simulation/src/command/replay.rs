use std::path::Path;
use std::process::ExitCode;

use rebuilder_actors::planted::Bug;
use serde::Deserialize;

use crate::level::{self, PlanError};
use crate::plan::{Level, Plan};

/// A file that keeps what once broke: the world that showed it, and the bug that puts it back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What happened, for people.
    pub about: String,
    /// `core` or `cluster`.
    pub level: String,
    /// Makes the world.
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
    pub fn plan(&self, with_bug: bool) -> Result<Plan, String> {
        let level = match &*self.level {
            "core" => Level::Core,
            "cluster" => Level::Cluster,
            other => return Err(format!("there is no level `{other}`")),
        };
        let bug: Option<Bug> = match &self.bug {
            Some(name) if with_bug => Some(name.parse().map_err(|e| format!("{e}"))?),
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
}

/// Runs a scenario: the system as it is must hold, and break with the bug planted.
///
/// # Errors
/// It is no scenario, or impossible.
pub fn replay(path: &Path) -> Result<ExitCode, ScenarioError> {
    let scenario = Scenario::read(path)?;
    let parse = |reason| ScenarioError::Parse { path: path.display().to_string(), reason };
    println!("{}", scenario.about.trim());
    let code = super::run(&scenario.plan(false).map_err(parse)?)?;
    if scenario.bug.is_none() || cfg!(not(feature = "planted")) {
        return Ok(code);
    }
    let outcome = level::run(&scenario.plan(true).map_err(parse)?)?;
    match outcome.failure {
        Some(failure) => {
            println!("with the bug planted: {}: {}", failure.checker, failure.text);
            Ok(code)
        }
        None => {
            println!("with the bug planted nothing breaks: choose another seed");
            Ok(ExitCode::FAILURE)
        }
    }
}
