use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rebuilder_actors::port::{Difference, Progress};
use rebuilder_actors::protocol::{Sha256, Stage};
use tokio_util::sync::CancellationToken;

use super::compare::{Pair, is_file_name};
use super::rebuild::BuildError;
use super::shortage::{Found, decide};
use crate::sandbox::{
    self, Bind, Exit, Limits, Network, Output, Personality, Root, Run, Sandbox, Spec, User, Wall,
};

/// Explains with `diffoscope` how two files differ, in a sandbox where there is nothing but the
/// host's programs and the two files: what is compared is hostile.
#[derive(Debug)]
pub struct Diffoscope {
    settings: DiffoscopeSettings,
    sandbox: Sandbox,
    /// It was said that the program is missing.
    missing_said: AtomicBool,
}

/// How `diffoscope` is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffoscopeSettings {
    /// False: never.
    pub enabled: bool,
    /// Further arguments, before ours.
    pub args: Vec<String>,
    /// Time after which it is to stop looking further; killed ten minutes later.
    pub timeout: Duration,
    /// Bytes of text kept; at more it is killed, and a note says so.
    pub bytes_max: u64,
    /// A name that is looked up in the usual folders, or an absolute path below `/usr`, the only
    /// place whose programs are visible in the sandbox.
    pub program: PathBuf,
}

impl Default for DiffoscopeSettings {
    /// Off; an hour, 40 MiB.
    fn default() -> Self {
        Self {
            enabled: false,
            args: Vec::new(),
            timeout: Duration::from_secs(3600),
            bytes_max: 40 << 20,
            program: PathBuf::from("diffoscope"),
        }
    }
}

impl Diffoscope {
    /// To be run so, in this sandbox.
    pub fn new(settings: DiffoscopeSettings, sandbox: Sandbox) -> Self {
        Self { settings, sandbox, missing_said: AtomicBool::new(false) }
    }

    /// The text that explains `pair`, under the name `file`, written to `difference-{file}.txt` in
    /// `folder`, which is the attempt's. `None` when there is none, for a reason that stands in the
    /// log; never an error, because no verdict depends on it.
    pub async fn explain(
        &self,
        pair: &Pair,
        file: &str,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Option<Difference> {
        if !self.settings.enabled || !is_file_name(file) {
            return None;
        }
        let Some(program) = self.find_program() else {
            if !self.missing_said.swap(true, Ordering::Relaxed) {
                let program = self.settings.program.display();
                say(progress, &format!("{program} is not installed: no differences are shown"));
            }
            return None;
        };
        match self.run(&program, pair, file, folder, progress).await {
            Ok(text) => match write(&text, file, folder).await {
                Ok(difference) => Some(difference),
                Err(error) => {
                    say(progress, &format!("the difference of {file} is lost: {error}"));
                    None
                }
            },
            Err(why) => {
                say(progress, &format!("no difference of {file}: {why}"));
                None
            }
        }
    }

    /// The program's path, on the host as in the sandbox.
    fn find_program(&self) -> Option<PathBuf> {
        let program = &self.settings.program;
        PATH.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
    }

    async fn run(
        &self,
        program: &Path,
        pair: &Pair,
        file: &str,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<String, String> {
        let scratch = tempfile::Builder::new()
            .prefix("diffoscope-")
            .tempdir_in(folder)
            .map_err(|error| format!("cannot make a folder in {}: {error}", folder.display()))?
            .keep();
        let ended = self.run_in(&scratch, program, pair, file, progress).await;
        if let Err(error) = sandbox::remove_tree(&scratch).await {
            tracing::warn!(%error, "what diffoscope left cannot be removed");
        }
        ended
    }

    async fn run_in(
        &self,
        scratch: &Path,
        program: &Path,
        pair: &Pair,
        file: &str,
        progress: &dyn Progress,
    ) -> Result<String, String> {
        let cannot = |error: io::Error| format!("cannot prepare it: {error}");
        let (from, to) = (pair.clone(), scratch.to_owned());
        tokio::task::spawn_blocking(move || prepare(&from, &to))
            .await
            .map_err(|error| error.to_string())?
            .map_err(cannot)?;
        let cancel = CancellationToken::new();
        let bytes_max = usize::try_from(self.settings.bytes_max).unwrap_or(usize::MAX);
        let mut text = Text { bytes: Vec::new(), bytes_max, cancel: cancel.clone() };
        let spec = self.spec(scratch, program, file);
        let run = run_cancelled_by(&self.sandbox, progress, &spec, &mut text, &cancel)
            .await
            .map_err(|error| error.to_string())?;
        if text.is_cut() {
            return Ok(text.into_string());
        }
        // Status 1 is what it ends with when it has explained something, and when it has failed.
        if matches!(run.exit, Exit::Status(0 | 1)) && !text.bytes.is_empty() {
            return Ok(text.into_string());
        }
        if let Err(BuildError::Fault(fault)) =
            decide(Found::Exit(Stage::Compare, run.exit), &run.observed)
        {
            return Err(fault.detail);
        }
        match run.exit {
            Exit::Status(status) => Err(format!("exit status {status}, {}", complaints(scratch))),
            other => Err(format!("it ended with {other:?}")),
        }
    }

    fn spec(&self, scratch: &Path, program: &Path, file: &str) -> Spec {
        let timeout = self.settings.timeout;
        let mut command = vec!["/bin/sh", "-c", "exec \"$@\" 2> /tmp/complaints", "sh"]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        command.push(program.display().to_string());
        command.extend(self.settings.args.iter().cloned());
        command.push(format!("--timeout={}", timeout.as_secs()));
        command.extend(["--".to_owned(), format!("a/{file}"), format!("b/{file}")]);
        let host = HOST_PATHS.iter().map(PathBuf::from).filter(|path| path.exists());
        let mut binds: Vec<Bind> =
            host.map(|path| Bind { source: path.clone(), target: path, read_only: true }).collect();
        binds.extend(["a", "b"].map(|side| Bind {
            source: scratch.join(side),
            target: Path::new("/compare").join(side).join(file),
            read_only: true,
        }));
        let variables = [("PATH", PATH), ("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("LANG", "C.UTF-8")];
        Spec {
            root: Root {
                lowers: vec![scratch.join("lower")],
                upper: scratch.join("upper"),
                work: scratch.join("work"),
            },
            binds,
            network: Network::Loopback,
            user: User::Builder,
            command,
            environment: variables.map(|(name, value)| (name.into(), value.into())).into(),
            directory: PathBuf::from("/compare"),
            limits: Limits {
                wall: timeout.saturating_add(GRACE),
                memory_bytes: Some(MEMORY_BYTES_MAX),
                processes: PROCESSES_MAX,
                file_bytes: Some(FILE_BYTES_MAX),
                disk_bytes: Some(DISK_BYTES_MAX),
                output_bytes_per_sec: None,
            },
            wall: Wall::default(),
            personality: Personality::Native,
        }
    }
}

/// Collects the text, ends the program when there is too much of it.
struct Text {
    /// At most one more than `bytes_max`.
    bytes: Vec<u8>,
    bytes_max: usize,
    cancel: CancellationToken,
}

impl Text {
    fn is_cut(&self) -> bool {
        self.bytes.len() > self.bytes_max
    }

    /// UTF-8 of at most `bytes_max` bytes; a note at the end says when there was more.
    fn into_string(self) -> String {
        let bytes_max = self.bytes_max;
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if text.len() <= bytes_max {
            return text;
        }
        let note = format!("\n\nrebuilder: cut at {bytes_max} bytes\n");
        let mut length = bytes_max.saturating_sub(note.len());
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        text.truncate(length);
        text.push_str(&note);
        text.truncate(bytes_max);
        text
    }
}

impl Output for Text {
    fn write(&mut self, bytes: &[u8]) {
        let room = self.bytes_max.saturating_add(1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if self.is_cut() {
            self.cancel.cancel();
        }
    }
}

async fn run_cancelled_by(
    sandbox: &Sandbox,
    progress: &dyn Progress,
    spec: &Spec,
    output: &mut dyn Output,
    cancel: &CancellationToken,
) -> Result<Run, sandbox::SandboxError> {
    let run = sandbox.run(spec, output, cancel);
    tokio::pin!(run);
    tokio::select! {
        biased;
        () = progress.cancelled() => cancel.cancel(),
        ended = &mut run => return ended,
    }
    run.await
}

/// Makes an empty root, and copies of the two files that everybody may read.
fn prepare(pair: &Pair, scratch: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    for folder in ["lower", "upper", "upper/tmp"] {
        std::fs::create_dir(scratch.join(folder))?;
    }
    let everybody = std::fs::Permissions::from_mode(0o1777);
    std::fs::set_permissions(scratch.join("upper/tmp"), everybody)?;
    for (from, side) in [(&pair.published, "a"), (&pair.output, "b")] {
        let to = scratch.join(side);
        let mut target = OpenOptions::new().write(true).create_new(true).open(&to)?;
        io::copy(&mut open_plain(from)?, &mut target)?;
        target.set_permissions(std::fs::Permissions::from_mode(0o444))?;
    }
    Ok(())
}

fn open_plain(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    sandbox::open_file(folder, Path::new(path.file_name().unwrap_or_default()))
}

/// The start of what the program said on its standard error, on one line.
fn complaints(scratch: &Path) -> String {
    let mut start = Vec::new();
    let read = sandbox::open_file(&scratch.join("upper"), Path::new("tmp/complaints"))
        .and_then(|file| file.take(COMPLAINTS_BYTES_MAX).read_to_end(&mut start));
    match read {
        Ok(0) | Err(_) => "which says nothing".to_owned(),
        Ok(_) => format!("which says: {}", String::from_utf8_lossy(&start).replace('\n', " / ")),
    }
}

async fn write(text: &str, file: &str, folder: &Path) -> io::Result<Difference> {
    let sha256 = Sha256::of(text.as_bytes());
    // A long name has no room for what is added to it.
    let name = if file.len() > NAME_BYTES_MAX {
        Sha256::of(file.as_bytes()).to_string()
    } else {
        file.to_owned()
    };
    let path = folder.join(format!("difference-{name}.txt"));
    tokio::fs::write(&path, text).await?;
    Ok(Difference { path, sha256, size: text.len() as u64 })
}

fn say(progress: &dyn Progress, line: &str) {
    tracing::warn!("{line}");
    progress.log(format!("rebuilder: {line}\n").as_bytes());
}

/// What of the host the sandbox shows: programs, their libraries, nothing that is anybody's own.
const HOST_PATHS: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/ld.so.cache",
];

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Time for writing down what was found until the time-out.
const GRACE: Duration = Duration::from_secs(600);

/// Large packages take a few hundred megabytes.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

const PROCESSES_MAX: u32 = 256;

/// Unpacked files are no larger than this, or they are a trap.
const FILE_BYTES_MAX: u64 = 8 << 30;

/// All unpacked files together.
const DISK_BYTES_MAX: u64 = 32 << 30;

const COMPLAINTS_BYTES_MAX: u64 = 2000;

/// Bytes of a file name to which `difference-` and `.txt` can be added.
const NAME_BYTES_MAX: usize = 200;
