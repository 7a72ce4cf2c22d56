use std::path::{Path, PathBuf};
use std::sync::Arc;

use rebuilder_actors::protocol::text::counted_len;
use rebuilder_actors::protocol::{Assignment, BuildInput, EnvironmentKnowledge, FaultKind, Stage};

use super::archives::{Archives, base_key};
use super::bootstrap::Bootstrap;
use super::debian_backend::DebianBackend;
use super::install::{digest, reason};
use super::plan::BuildPlan;
use super::recorded;
use super::source::{self, Source};
use super::step;
use super::tools::{KEYRING_INSIDE, Tools};
use crate::backend::{BuildError, BuildFacts, record};
use crate::distribution::debian::format::Buildinfo;
use crate::distribution::debian::format::SourceFile;
use crate::environment::{Base, Chroot, Step, collect_outputs, say};
use crate::sandbox::{Bind, Network, Personality, User};

/// One attempt, from its assignment to the folder of outputs.
pub(super) struct Attempt<'a> {
    pub(super) backend: &'a DebianBackend,
    pub(super) assignment: &'a Assignment,
    pub(super) folder: &'a Path,
    pub(super) facts: &'a mut BuildFacts,
    pub(super) chroot: Chroot<'a>,
}

impl Attempt<'_> {
    /// Does it all; the writable layer is the caller's to remove.
    pub(super) async fn run(&mut self) -> Result<PathBuf, BuildError> {
        let limits = self.assignment.limits;
        self.chroot.enter(Stage::Fetch, limits.stage_secs_max);
        let archives = Archives::of(&self.assignment.archives)?;
        self.chroot.urls = archives.urls();
        let recorded = self.input().await?;
        let source = self.source(recorded.as_ref()).await?;
        let plan = match &recorded {
            Some(recorded) => BuildPlan::recorded(self.assignment, &source.control, recorded)?,
            None => BuildPlan::suite(self.assignment, &source.control, &self.backend.settings)?,
        };
        let sandbox = self.chroot.sandbox;
        sandbox
            .capabilities()
            .runs_programs_of(&plan.architecture)
            .map_err(|why| BuildError::fault(FaultKind::BackendMissing, why))?;
        self.chroot.wall = self.backend.wall(&plan.architecture);
        self.chroot.personality = Personality::of(&plan.architecture);
        let held_in = sandbox.evidence(self.chroot.wall, self.chroot.personality);
        self.facts.sandbox = Some(held_in);
        self.chroot.enter(Stage::Prepare, limits.stage_secs_max);
        let keyring = self.backend.keyring()?;
        let base = self.base(&archives, &plan, &keyring).await?;
        self.chroot.root.lowers = vec![base.root()];
        let tools = self.layer().join("tools");
        let tools = Tools::new(sandbox, tools, &plan.architecture, &keyring).await?;
        self.prepare(&archives, recorded.as_ref(), &source, &plan, &tools).await?;
        self.unpack(&source, &plan).await?;
        self.check_dependencies(&plan).await?;
        self.chroot.enter(Stage::Build, limits.build_secs_max);
        self.build(&plan).await?;
        let out = self.folder.join("out");
        collect_outputs(&self.chroot, parent(&plan.path), self.assignment, &out).await?;
        Ok(out)
    }

    /// The base root, made or renewed when it has to be.
    async fn base(
        &self,
        archives: &Archives,
        plan: &BuildPlan,
        keyring: &Path,
    ) -> Result<Arc<Base>, BuildError> {
        let (backend, architecture) = (self.backend, &*plan.architecture);
        let work = async {
            let bytes = tokio::fs::read(keyring)
                .await
                .map_err(|error| BuildError::io("read", keyring, &error))?;
            let lines = archives.base_lines(KEYRING_INSIDE);
            let include = &backend.settings.base_include;
            let recipe = Bootstrap {
                key: base_key(architecture, &lines, include, &bytes),
                settings: &backend.settings,
                architecture,
                archives,
                keyring,
                cache: &backend.packages,
                fetcher: &backend.fetcher,
                attempt: &self.chroot,
            };
            backend.bases.get(&recipe, self.chroot.progress).await
        };
        self.chroot.unless_cancelled(work).await
    }

    /// The recorded environment; `None` where none is recorded.
    async fn input(&mut self) -> Result<Option<Buildinfo>, BuildError> {
        let BuildInput::Recorded { url, sha256 } = &self.assignment.input else {
            self.facts.environment = EnvironmentKnowledge::Suite;
            return Ok(None);
        };
        let path = self.folder.join("input.buildinfo");
        let (fetcher, place) = (&self.backend.fetcher, (&**url, *sha256));
        let artifacts = &self.assignment.artifacts;
        let fetched = record::fetch(fetcher, place, artifacts, BUILDINFO_BYTES_MAX, &path);
        let (digest, found) = self.chroot.unless_cancelled(fetched).await?;
        self.facts.input = Some(digest);
        if found != **url {
            say(self.chroot.progress, format!("the record is {found}"));
        }
        let bytes = std::fs::read(&path).map_err(|error| BuildError::io("read", &path, &error))?;
        Buildinfo::parse(&bytes).map(Some).map_err(|error| {
            let detail = format!("{found} is not usable: {error}");
            BuildError::fault(FaultKind::InputsUnavailable, detail)
        })
    }

    async fn source(&mut self, recorded: Option<&Buildinfo>) -> Result<Source, BuildError> {
        let unusable = |detail: &str| BuildError::fault(FaultKind::InputsUnavailable, detail);
        let remote = self.assignment.source.as_ref();
        let remote = remote.ok_or_else(|| unusable("the index names no source of it"))?;
        let into = self.folder.join("source");
        std::fs::create_dir_all(&into).map_err(|error| BuildError::io("make", &into, &error))?;
        let fetcher = &self.backend.fetcher;
        let bytes_max = self.chroot.limits.source_bytes_max;
        let work = source::fetch(fetcher, remote, bytes_max, &into, self.chroot.progress);
        let source = self.chroot.unless_cancelled(work).await?;
        self.facts.source_sha256 = Some(source.sha256);
        let files = recorded.map_or(&[][..], |recorded| &recorded.files);
        let other = |file: &&SourceFile| file.name == source.dsc && file.sha256 != source.sha256;
        if let Some(named) = files.iter().find(other) {
            let (name, expected, found) = (&named.name, named.sha256, source.sha256);
            let detail = format!("{name}: recorded with {expected}, published with {found}");
            return Err(unusable(&detail));
        }
        Ok(source)
    }

    /// Holds the writable layer of this attempt, and what is removed with it.
    fn layer(&self) -> &Path {
        self.chroot.root.upper.parent().expect("the writable layer is in a folder of its own")
    }

    /// Makes the environment.
    async fn prepare(
        &mut self,
        archives: &Archives,
        recorded: Option<&Buildinfo>,
        source: &Source,
        plan: &BuildPlan,
        tools: &Tools,
    ) -> Result<(), BuildError> {
        let packages = self.folder.join("packages");
        let lists = self.layer().join("lists");
        make_archives(&packages, self.chroot.sandbox.root_id())
            .map_err(|error| BuildError::io("make", &packages, &error))?;
        let (archives_inside, cache) = (PathBuf::from(ARCHIVES_INSIDE), &self.backend.packages);
        self.chroot.binds = vec![
            Bind { source: packages.clone(), target: archives_inside, read_only: false },
            Bind {
                source: self.folder.join("source"),
                target: SOURCE_INSIDE.into(),
                read_only: true,
            },
        ];
        if let Some(recorded) = recorded {
            let fetcher = &self.backend.fetcher;
            let (packages, lists) = (&*packages, &*lists);
            let work = recorded::Environment {
                archives,
                recorded,
                cache,
                packages,
                fetcher,
                tools,
                lists,
            };
            let installed = work.make(&mut self.chroot).await?;
            self.facts.environment = if recorded.left_out.is_empty() {
                EnvironmentKnowledge::Recorded
            } else {
                let names = recorded.left_out.join(", ");
                say(self.chroot.progress, format!("recorded variables that are not set: {names}"));
                EnvironmentKnowledge::Partial
            };
            self.facts.environment_sha256 = Some(digest(&installed));
            return Ok(());
        }
        let flat = &archives.flat;
        if !flat.is_empty() && !self.chroot.update(tools, flat, &lists.join("flat")).await? {
            let detail = "a flat repository of the profile cannot be read";
            return Err(BuildError::fault(FaultKind::FetchFailed, detail));
        }
        let dsc = format!("./{}", source.dsc);
        let mut arguments = vec!["build-dep", "--no-install-recommends"];
        arguments.extend(plan.kind.dependencies_option());
        arguments.push(&dsc);
        self.chroot.apt(cache, &packages, SOURCE_INSIDE, &arguments).await?;
        let installed = self.chroot.installed().await?;
        say(
            self.chroot.progress,
            format!("installed: {}", counted_len(installed.len(), "package")),
        );
        self.facts.environment_sha256 = Some(digest(&installed));
        Ok(())
    }

    /// Unpacks the source where it is built, and puts a binNMU's entry on its changelog.
    async fn unpack(&mut self, source: &Source, plan: &BuildPlan) -> Result<(), BuildError> {
        let parent = parent(&plan.path);
        let made = step::root("/", ["sh", "-ec", MAKE_ROOM, "sh", &plan.path, parent]);
        let (status, tail) = self.chroot.logged(made).await?;
        if status == OCCUPIED {
            let detail = format!(
                "Build-Path {}: the environment has something there, or a link on the way, so that \
                 the source cannot be unpacked in it",
                plan.path
            );
            return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
        }
        if status != 0 {
            let detail = format!("cannot make {parent}: {}", reason(&tail));
            return Err(BuildError::fault(FaultKind::WorkerFailed, detail));
        }
        let dsc = format!("{SOURCE_INSIDE}/{}", source.dsc);
        let mut step = step::root(parent, ["dpkg-source", "-x", &dsc, &plan.path]);
        step.user = User::Builder;
        let (status, tail) = self.chroot.logged(step).await?;
        if status != 0 {
            let detail = format!("the source cannot be unpacked: {}", reason(&tail));
            return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
        }
        let Some(entry) = &plan.changelog else { return Ok(()) };
        let script = "printf %s \"$1\" | cat - debian/changelog >debian/changelog.new && \
                      mv debian/changelog.new debian/changelog";
        let mut step = step::root(&plan.path, ["sh", "-c", script, "sh", entry]);
        step.user = User::Builder;
        let (status, tail) = self.chroot.logged(step).await?;
        if status != 0 {
            let detail = format!("the changelog cannot be extended: {}", reason(&tail));
            return Err(BuildError::fault(FaultKind::WorkerFailed, detail));
        }
        say(self.chroot.progress, "put the entry of the binNMU on the changelog");
        Ok(())
    }

    async fn build(&mut self, plan: &BuildPlan) -> Result<(), BuildError> {
        self.chroot.binds.clear();
        let option = plan.kind.build_option();
        // `-d`: they were checked, by themselves.
        let command = ["dpkg-buildpackage", "-us", "-uc", "-d", option, "-rfakeroot"];
        say(self.chroot.progress, format!("builds in {}: {}", plan.path, command.join(" ")));
        let step = Step {
            user: User::Builder,
            network: Network::Loopback,
            command: command.map(str::to_owned).to_vec(),
            directory: &plan.path,
            environment: plan.environment.clone(),
        };
        let (status, tail) = self.chroot.logged(step).await?;
        if status == 0 {
            return Ok(());
        }
        let line = reason(&tail);
        Err(BuildError::build_failed(format!(
            "dpkg-buildpackage ended with status {status}: {line}"
        )))
    }

    /// Has dpkg say by its status, before anything of the package runs, whether the environment has
    /// what the source asks for. The build's own status and words could be anybody's.
    async fn check_dependencies(&self, plan: &BuildPlan) -> Result<(), BuildError> {
        let command = ["dpkg-checkbuilddeps"].into_iter().chain(plan.kind.check_option());
        let step = Step {
            user: User::Builder,
            environment: plan.environment.clone(),
            ..step::root(&plan.path, command)
        };
        let (status, tail) = self.chroot.logged(step).await?;
        if status != UNMET_DEPENDENCIES {
            // A `debian/control` that it cannot read is for the build to stumble over.
            return Ok(());
        }
        let detail = format!("the environment does not suffice: {}", reason(&tail));
        Err(BuildError::fault(FaultKind::InputsUnavailable, detail))
    }
}

/// The folder that holds the outputs.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent })
}

/// The folder that apt has for packages, of this attempt alone, given to root inside: apt locks it.
fn make_archives(folder: &Path, owner: u32) -> std::io::Result<()> {
    let id = Some(owner);
    for folder in [folder.to_owned(), folder.join("partial")] {
        std::fs::create_dir_all(&folder)?;
        std::os::unix::fs::chown(&folder, id, id)?;
    }
    Ok(())
}

/// Makes the folder `$2`, in which the builder may unpack the source as `$1` and put its outputs
/// beside it. Outputs are later looked for without following links. A folder of the system
/// stays its owner's, and lets the builder in.
const MAKE_ROOM: &str = r#"
if [ -e "$1" ] || [ -L "$1" ]; then
  { [ -d "$1" ] && [ ! -L "$1" ] && [ -z "$(ls -A "$1")" ]; } || exit 41
  rmdir "$1"
fi
if [ -e "$2" ] || [ -L "$2" ]; then
  [ -d "$2" ] || exit 41
  chmod a+rwx,+t "$2"
else
  mkdir -p "$2" || exit 41
  chown 1000:1000 "$2"
fi
[ "$(readlink -f "$2")" = "$2" ] || exit 41
above=${2%/*}
while [ -n "$above" ]; do
  chmod a+x "$above"
  above=${above%/*}
done
"#;

/// With which `MAKE_ROOM` ends when there is none.
const OCCUPIED: i32 = 41;

const ARCHIVES_INSIDE: &str = "/var/cache/apt/archives";
const SOURCE_INSIDE: &str = "/srv/rebuilder/source";

/// With which dpkg-checkbuilddeps says so.
const UNMET_DEPENDENCIES: i32 = 1;

/// Largest `.buildinfo`; the largest of Debian have 600 KiB.
const BUILDINFO_BYTES_MAX: u64 = 4 << 20;
