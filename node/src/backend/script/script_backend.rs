use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rebuilder_actors::port::{BoxFuture, Progress};
use rebuilder_actors::protocol::{
    Assignment, BuildInput, EnvironmentKnowledge, FaultKind, Isolation, Stage,
};

use super::keeper::Containment;
use super::process::{End, Run};
use crate::backend::compare::is_file_name;
use crate::backend::rebuild::{BuildError, BuildFacts, Rebuild, bounded};
use crate::backend::record;
use crate::backend::shortage::{Found, decide};
use crate::fetch::Fetcher;
use crate::sandbox::{
    Exit, LOOK_EVERY, Observed, Personality, Sandbox, Watch, machine_memory_kills,
};

/// Runs a program with the path of the build input as its only argument; what it leaves in the
/// folder `$REBUILDERD_OUTDIR` is compared.
///
/// It runs as the worker's user, with the host's files and network, in a folder of the attempt,
/// with nothing on standard input. Its environment is `PATH`, `LANG=C.UTF-8`, `HOME` (the attempt's
/// folder), `REBUILDERD_OUTDIR` and what [`ScriptSettings::pass`] names. The published artifacts
/// are not there, unless one is the build input itself. Its exit status is respected.
#[derive(Clone, Debug)]
pub struct ScriptBackend {
    settings: ScriptSettings,
    fetcher: Fetcher,
    containment: Containment,
    /// Knows what this machine runs; the script itself runs outside of it.
    sandbox: Sandbox,
}

/// How a script is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptSettings {
    /// The program; absolute.
    pub program: PathBuf,
    /// Its `PATH`; `None`: the usual folders of a system.
    pub path: Option<OsString>,
    /// Names of the worker's own variables that it gets too, with their values.
    pub pass: Vec<String>,
}

impl ScriptBackend {
    /// A backend that keeps its processes together as well as this process may.
    pub fn new(settings: ScriptSettings, sandbox: Sandbox, fetcher: Fetcher) -> Self {
        let containment = Containment::detect();
        Self::with_containment(settings, sandbox, fetcher, containment)
    }

    /// A backend that keeps its processes together in the way given.
    pub fn with_containment(
        settings: ScriptSettings,
        sandbox: Sandbox,
        fetcher: Fetcher,
        containment: Containment,
    ) -> Self {
        Self { settings, fetcher, containment, sandbox }
    }

    async fn run(
        &self,
        assignment: &Assignment,
        folder: &Path,
        facts: &mut BuildFacts,
        progress: &dyn Progress,
    ) -> Result<PathBuf, BuildError> {
        facts.environment = EnvironmentKnowledge::Opaque;
        self.check_program().await?;
        self.sandbox
            .capabilities()
            .runs_programs_of(&assignment.key.architecture)
            .map_err(|why| BuildError::fault(FaultKind::BackendMissing, why))?;
        let secs_max = assignment.limits.stage_secs_max;
        let fetch = self.fetch_input(assignment, folder, facts);
        let input = bounded(Stage::Fetch, secs_max, progress, fetch).await?;
        let outputs = folder.join("out");
        let directory = folder.join("work");
        for made in [&outputs, &directory] {
            make_folder(made).await?;
        }
        progress.stage(Stage::Build);
        let wall = Duration::from_secs(assignment.limits.build_secs_max.into());
        let kills_before = machine_memory_kills();
        let mut watch = Watch::new([folder]);
        let run = Run {
            program: self.settings.program.clone(),
            argument: input,
            directory,
            environment: self.environment(folder, &outputs),
            wall,
            containment: self.containment,
            personality: Personality::of(&assignment.key.architecture),
        };
        let end = watched(run.run(progress), &mut watch).await;
        // The machine's counter, because a script's processes are in no group of their own.
        let memory_kills = machine_memory_kills().saturating_sub(kills_before);
        let file_systems = watch.finish();
        facts.observed.add(Observed { memory_kills, file_systems, ..Observed::default() });
        let end = end.map_err(|error| self.not_started(&error))?;
        let program = self.settings.program.display();
        match end {
            End::Status(0) => Ok(outputs),
            End::Status(status) => {
                decide(Found::Exit(Stage::Build, Exit::Status(status)), &facts.observed)?;
                Err(BuildError::build_failed(format!("{program}: exit status {status}")))
            }
            End::TimedOut => {
                // A kill anywhere on the machine says nothing about a script that was slow.
                let observed = Observed { memory_kills: 0, ..facts.observed.clone() };
                decide(Found::Exit(Stage::Build, Exit::TimedOut), &observed)?;
                let detail = format!("{program} took longer than {} s", wall.as_secs());
                Err(BuildError::fault(FaultKind::TimedOut(Stage::Build), detail))
            }
            End::Cancelled => {
                Err(BuildError::fault(FaultKind::Cancelled, "cancelled in stage build"))
            }
            End::Stuck => {
                let detail = format!("{program}: processes of it do not end even when killed");
                Err(BuildError::fault(FaultKind::WorkerFailed, detail))
            }
        }
    }

    async fn check_program(&self) -> Result<(), BuildError> {
        use std::os::unix::fs::PermissionsExt as _;

        let program = &self.settings.program;
        let missing = |why: &str| {
            let detail = format!("script {} {why}", program.display());
            Err(BuildError::fault(FaultKind::BackendMissing, detail))
        };
        match tokio::fs::metadata(program).await {
            Ok(found) if !found.is_file() => missing("is not a file"),
            Ok(found) if found.permissions().mode() & 0o111 == 0 => missing("is not executable"),
            Ok(_) => Ok(()),
            Err(error) => missing(&format!("cannot be found: {error}")),
        }
    }

    fn not_started(&self, error: &std::io::Error) -> BuildError {
        let program = &self.settings.program;
        match error.kind() {
            // The program is there: it is its interpreter that is missing or may not be run.
            ErrorKind::NotFound | ErrorKind::PermissionDenied => {
                let detail = format!("script {} cannot be started: {error}", program.display());
                BuildError::fault(FaultKind::BackendMissing, detail)
            }
            _ => BuildError::io("run the script", program, error),
        }
    }

    async fn fetch_input(
        &self,
        assignment: &Assignment,
        folder: &Path,
        facts: &mut BuildFacts,
    ) -> Result<PathBuf, BuildError> {
        let BuildInput::Recorded { url, sha256 } = &assignment.input else {
            let detail = "nothing is recorded of this build, and a script needs a build input";
            return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
        };
        let name = &*assignment.key.input;
        if !is_file_name(name) {
            let detail = format!("build input `{name}` is not the name of a file");
            return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
        }
        let inputs = folder.join("inputs");
        make_folder(&inputs).await?;
        let path = inputs.join(name);
        let place = (&**url, *sha256);
        let artifacts = &assignment.artifacts;
        let fetched = record::fetch(&self.fetcher, place, artifacts, INPUT_BYTES_MAX, &path);
        facts.input = Some(fetched.await?.0);
        Ok(path)
    }

    fn environment(&self, folder: &Path, outputs: &Path) -> BTreeMap<OsString, OsString> {
        let mut variables: BTreeMap<OsString, OsString> = self
            .settings
            .pass
            .iter()
            .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
            .collect();
        let path = self.settings.path.clone().unwrap_or_else(|| PATH.into());
        variables.extend([
            ("PATH".into(), path),
            ("LANG".into(), "C.UTF-8".into()),
            ("HOME".into(), folder.into()),
            ("REBUILDERD_OUTDIR".into(), outputs.into()),
        ]);
        variables
    }
}

/// Why this program cannot be run; `None`: it can.
fn not_executable(program: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;

    let place = program.display();
    match std::fs::metadata(program) {
        Err(error) => Some(format!("the script {place}: {error}: correct `path`")),
        Ok(found) if !found.is_file() => Some(format!("the script {place} is no file")),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            Some(format!("the script {place} is not executable: chmod +x {place}"))
        }
        Ok(_) => None,
    }
}

impl Rebuild for ScriptBackend {
    fn isolation(&self) -> Isolation {
        Isolation::Script
    }

    fn ailment(&self) -> BoxFuture<'_, Option<String>> {
        let reason = not_executable(&self.settings.program);
        Box::pin(core::future::ready(reason))
    }

    fn build<'a>(
        &'a self,
        assignment: &'a Assignment,
        folder: &'a Path,
        facts: &'a mut BuildFacts,
        progress: &'a dyn Progress,
    ) -> BoxFuture<'a, Result<PathBuf, BuildError>> {
        Box::pin(self.run(assignment, folder, facts, progress))
    }
}

/// Runs a script and looks at the file systems meanwhile.
async fn watched<T>(run: impl Future<Output = T>, watch: &mut Watch) -> T {
    tokio::pin!(run);
    loop {
        tokio::select! {
            biased;
            ended = &mut run => return ended,
            () = tokio::time::sleep(LOOK_EVERY) => watch.look(),
        }
    }
}

async fn make_folder(path: &Path) -> Result<(), BuildError> {
    tokio::fs::create_dir(path)
        .await
        .map_err(|error| BuildError::io("make the folder", path, &error))
}

/// Bytes of a build input: an image of a system is the largest that is known.
const INPUT_BYTES_MAX: u64 = 8 << 30;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[cfg(test)]
#[path = "script_test.rs"]
mod script_test;
