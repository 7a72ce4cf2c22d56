use std::path::{Path, PathBuf};
use std::time::Duration;

use rebuilder_actors::port::{BoxFuture, Progress};
use rebuilder_actors::protocol::{
    Assignment, EnvironmentKnowledge, Fault, FaultKind, FileDigest, Isolation, Sandbox, Sha256,
    Stage,
};

use super::faults;
use super::shortage::shortage;
use crate::fetch::FetchError;
use crate::sandbox::{Observed, SandboxError};

/// One way to rebuild: what [`Backends`](super::Backends) finds under a backend's name.
///
/// An implementation fetches, prepares and builds. It does not compare, never fetches a published
/// file (unless that is the build input), keeps no state of an attempt but in `folder`, and serves
/// several attempts at once.
pub trait Rebuild: Send + Sync + 'static {
    /// How much this backend isolates a build of which [`BuildFacts::sandbox`] says nothing.
    fn isolation(&self) -> Isolation;

    /// Why nothing can be built now, for people: what is missing, and what to do. `None`: all that
    /// this machine needs is there. It is asked at start, after faults, and every half minute while
    /// it is ill; it may take a second.
    fn ailment(&self) -> BoxFuture<'_, Option<String>>;

    /// Builds, and returns the folder that holds what was built: the published names directly in
    /// it. Comparison opens only regular files there and follows no link, so the folder's content
    /// may be hostile; the folder itself must not be (it is `folder` or lies below it).
    ///
    /// - `folder` is absolute, exists, is empty, has mode 0700 and belongs to this attempt. It
    ///   stays until `release`, whatever is returned.
    /// - `facts` starts as [`BuildFacts::nothing`]; write into it what becomes known on the way.
    ///   It goes into the report for every ending, so `?` loses nothing.
    /// - Calls `progress.stage` for `Fetch`, `Prepare` and `Build` (see [`bounded`], which does it
    ///   and keeps the limits); `Compare` is set by the caller.
    /// - Gives every exit status to [`decide`](super::decide) before it takes it for the package's,
    ///   with all that was observed so far, and leaves that in `facts.observed`.
    /// - Returns only when every process of the build is gone: the published files are fetched
    ///   afterwards.
    ///
    /// # Errors
    /// [`BuildError::BuildFailed`] when the build's own exit status was a failure;
    /// [`BuildError::Fault`] for everything that says nothing about the package, cancellation
    /// included.
    fn build<'a>(
        &'a self,
        assignment: &'a Assignment,
        folder: &'a Path,
        facts: &'a mut BuildFacts,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Result<PathBuf, BuildError>>;
}

/// What a backend learns about its build, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFacts {
    /// How the environment was known.
    pub environment: EnvironmentKnowledge,
    /// The build input as used; `None` where there is none (suite) or it was not reached.
    pub input: Option<FileDigest>,
    /// The source as used (Debian: the `.dsc`); `None` when it was not reached.
    pub source_sha256: Option<Sha256>,
    /// See `Attempted::environment_sha256`; `None` when it was not made or cannot be listed.
    pub environment_sha256: Option<Sha256>,
    /// What holds the build in, which also decides how it is isolated; `None`: the backend's own
    /// word for all of its builds.
    pub sandbox: Option<Sandbox>,
    /// What the attempt may have been short of; it is looked at when files differ or are missing.
    pub observed: Observed,
}

impl BuildFacts {
    /// Before anything is known.
    pub fn nothing() -> Self {
        Self {
            environment: EnvironmentKnowledge::Opaque,
            input: None,
            source_sha256: None,
            environment_sha256: None,
            sandbox: None,
            observed: Observed::default(),
        }
    }
}

/// Why there is nothing to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The build's own exit status was a failure.
    BuildFailed {
        /// One line for people: which command, which status.
        reason: String,
    },
    /// A problem of ours.
    Fault(Fault),
}

impl BuildError {
    /// A fault; `detail` is made one line and cut to the bytes that a report may carry.
    pub fn fault(kind: FaultKind, detail: impl AsRef<str>) -> Self {
        Self::Fault(Fault { kind, detail: one_line(detail.as_ref()) })
    }

    /// A failed build; `reason` is bounded as above.
    pub fn build_failed(reason: impl AsRef<str>) -> Self {
        Self::BuildFailed { reason: one_line(reason.as_ref()) }
    }

    /// A fault of the worker's own files.
    pub fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        let detail = format!("cannot {action} {}: {error}", path.display());
        Self::fault(faults::of_io(error.kind()), detail)
    }
}

impl From<Fault> for BuildError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<FetchError> for BuildError {
    fn from(error: FetchError) -> Self {
        Self::fault(faults::of_fetch(&error), error.to_string())
    }
}

impl From<SandboxError> for BuildError {
    fn from(error: SandboxError) -> Self {
        let short = shortage(&error.observed).map(|(_, what)| format!(": {what}"));
        let detail = format!("{error}{}", short.unwrap_or_default());
        Self::fault(faults::of_sandbox(&error), detail)
    }
}

/// Enters `stage` and runs `work` until it ends, `secs_max` seconds passed (fault `TimedOut`), or
/// the attempt is cancelled (fault `Cancelled`). In the last two cases `work` is dropped where it
/// stands, so it must be something whose drop cleans up: a fetch is, a running process is not.
///
/// # Errors
/// Those of `work`, and the two faults above.
pub async fn bounded<T>(
    stage: Stage,
    secs_max: u32,
    progress: &dyn Progress,
    work: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    progress.stage(stage);
    within(stage, secs_max, progress, work).await
}

/// One step of a stage that was entered already, bounded as [`bounded`] does it.
///
/// # Errors
/// As there.
pub async fn within<T>(
    stage: Stage,
    secs_max: u32,
    progress: &dyn Progress,
    work: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    let limit = Duration::from_secs(secs_max.into());
    tokio::select! {
        biased;
        () = progress.cancelled() => {
            Err(BuildError::fault(FaultKind::Cancelled, format!("cancelled in stage {stage}")))
        }
        ended = tokio::time::timeout(limit, work) => ended.unwrap_or_else(|_| {
            let detail = format!("stage {stage} took longer than {secs_max} s");
            Err(BuildError::fault(FaultKind::TimedOut(stage), detail))
        }),
    }
}

/// Control characters become spaces, the end is cut at a character's border.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() + character.len_utf8() > DETAIL_BYTES_MAX {
            break;
        }
        line.push(if character.is_control() { ' ' } else { character });
    }
    line
}

/// Bytes of a fault's detail (`Fault::detail`).
const DETAIL_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_one_bounded_line() {
        let BuildError::Fault(fault) = BuildError::fault(FaultKind::DiskFull, "ä\n".repeat(2000))
        else {
            panic!("not a fault")
        };
        assert!(fault.detail.len() <= 1024 && fault.detail.starts_with("ä ä "), "{}", fault.detail);
        assert!(!fault.detail.contains('\n'));
    }
}
