//! Whether a data directory is whole, and what can be taken over of one that is not.

mod gather;
mod inspect;
mod rebuilt;
mod salvage;
mod work;

#[cfg(test)]
mod check_test;

use std::path::{Path, PathBuf};

use rebuilder_actors::port::{BlobError, StoreError};

use crate::config::{Config, Role};
use crate::data_dir::DataDir;
use crate::role::{COORDINATOR_KEY, KEYS, RoleError, check_key};
use crate::spool;
use crate::store::Engine;

/// What to check.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The data directory of a coordinator, or the work directory of a worker, which must not run
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    data_dir: Option<PathBuf>,
    /// The configuration that names the data directory
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    config: Option<PathBuf>,
    /// Take over what is whole into a new store; the old one is kept beside it
    #[arg(long)]
    salvage: bool,
}

/// What was found: one line each.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What is there.
    pub said: Vec<String>,
    /// What is missing or damaged, with the file.
    pub problems: Vec<String>,
}

/// A check that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The data directory is in use, or the medium failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blobs cannot be read.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// No such data directory, or a wrong configuration.
    #[error("{0}")]
    Arguments(String),
}

/// Checks, or salvages, as `arguments` say.
///
/// # Errors
/// Nothing could be said about the data directory.
pub fn run(arguments: &Arguments) -> Result<Findings, CheckError> {
    let path = arguments.path()?;
    if !path.is_dir() {
        return Err(CheckError::Arguments(format!("{} is no directory", path.display())));
    }
    let mut findings = Findings::default();
    let dir = match DataDir::open(&path) {
        Err(error @ StoreError::Damaged { .. }) => {
            findings.problems.push(error.to_string());
            return Ok(findings);
        }
        opened => opened?,
    };
    if arguments.salvage {
        salvage::run(&dir, &mut findings)?;
    } else {
        check(&dir, &mut findings)?;
    }
    Ok(findings)
}

/// Checks all of a data directory; what is stored is read from a copy, so that nothing changes.
///
/// # Errors
/// The medium failed.
pub fn check(dir: &DataDir, findings: &mut Findings) -> Result<(), CheckError> {
    check_keys(dir.path(), findings);
    findings.problems.extend(spool::damaged_entries(dir.path())?);
    if work::has_store(dir) {
        match work::open_copy(dir) {
            Ok(store) => inspect::store(&*store, dir, findings)?,
            Err(error @ StoreError::Damaged { .. }) => {
                // The operator's file is the original.
                let copy = work::folder(dir, work::COPY).display().to_string();
                let original = dir.path().display().to_string();
                findings.problems.push(error.to_string().replace(&copy, &original));
            }
            Err(error) => return Err(error.into()),
        }
        work::remove(dir)?;
    }
    Ok(())
}

fn check_keys(path: &Path, findings: &mut Findings) {
    let store = Engine::ALL.iter().any(|engine| path.join(engine.folder()).exists());
    for (name, access) in KEYS {
        let key = path.join(name);
        // A worker has only its own, a coordinator all but that.
        let expected = key.exists() || key.with_extension("pub").exists();
        let expected = expected || store && name == COORDINATOR_KEY;
        match expected.then(|| check_key(&key, access)) {
            Some(Err(RoleError::Damaged(text))) => findings.problems.push(text),
            Some(Err(error)) => findings.problems.push(error.to_string()),
            Some(Ok(())) | None => {}
        }
    }
}

impl Arguments {
    fn path(&self) -> Result<PathBuf, CheckError> {
        if let Some(path) = &self.data_dir {
            return Ok(path.clone());
        }
        let config = Config::load(self.config.as_deref(), Role::Coordinator);
        let config = config.map_err(|error| CheckError::Arguments(error.to_string()))?;
        let coordinator = config.coordinator.ok_or_else(|| {
            CheckError::Arguments("the configuration has no [coordinator]".to_owned())
        })?;
        Ok(coordinator.data_dir)
    }
}

impl Findings {
    /// Everything, for people.
    pub fn text(&self) -> String {
        let problems = self.problems.iter().map(|problem| format!("damaged: {problem}"));
        let lines: Vec<String> = self.said.iter().cloned().chain(problems).collect();
        lines.join("\n")
    }
}
