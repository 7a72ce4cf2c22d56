use std::path::Path;

use rebuilder_actors::protocol::text::counted_len;
use rebuilder_actors::protocol::{FaultKind, Sha256};

use super::archives::Suite;
use super::step;
use super::tools::{self, KEYRING_INSIDE, Tools};
use super::wanted::wanted;
use crate::backend::BuildError;
use crate::environment::{Chroot, PackageCache, say};
use crate::sandbox::{Bind, Network};

/// One installed package as dpkg lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

impl Chroot<'_> {
    /// Has apt do what `arguments` ask for, in `directory`. The packages are fetched from outside,
    /// by the digests of the signed lists; apt itself, and the packages' scripts, run without
    /// network.
    pub(super) async fn apt(
        &self,
        cache: &PackageCache,
        archives: &Path,
        directory: &str,
        arguments: &[&str],
    ) -> Result<(), BuildError> {
        let asked = ["apt-get", "-qq", "--print-uris", "-o", "Acquire::ForceHash=SHA256"];
        let step = step::root(directory, asked.into_iter().chain(arguments.iter().copied()));
        let (status, printed) = self.captured(step).await?;
        if status != 0 {
            self.progress.log(printed.as_bytes());
            let line = reason(&printed);
            let detail = format!("the environment cannot be made: {line}");
            return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
        }
        let packages = wanted(&printed, &self.urls)?;
        let bytes_max = self.limits.package_bytes_max;
        let provided = cache.provide(&packages, bytes_max, archives);
        let (count, bytes) = self.unless_cancelled(provided).await?;
        let total = counted_len(packages.len(), "package");
        say(self.progress, format!("{total}, {count} of them fetched ({bytes} bytes)"));
        let run = ["apt-get", "-q", "--no-download"];
        let step = step::root(directory, run.into_iter().chain(arguments.iter().copied()));
        let (status, tail) = self.logged(step).await?;
        if status == 0 {
            return Ok(());
        }
        let detail = format!("packages cannot be installed: {}", reason(&tail));
        Err(BuildError::fault(FaultKind::InputsUnavailable, detail))
    }

    /// Reads the lists of further archives into `folder`, with the network and the host's apt, and
    /// then puts them beside those that this root has, without. False when apt could not read all
    /// of them; what it could read is there.
    pub(super) async fn update(
        &mut self,
        tools: &Tools,
        suites: &[Suite],
        folder: &Path,
    ) -> Result<bool, BuildError> {
        let lines: String = suites.iter().map(|suite| suite.line(KEYRING_INSIDE)).collect();
        let id = Some(self.sandbox.root_id());
        std::fs::create_dir_all(folder)
            .and_then(|()| std::os::unix::fs::chown(folder, id, id))
            .map_err(|error| BuildError::io("make", folder, &error))?;
        let bind = |read_only: bool, target: &str| Bind {
            source: folder.to_owned(),
            target: target.into(),
            read_only,
        };
        let online = tools.online(self, suites, vec![bind(false, tools::TARGET)]);
        let script = ["sh", "-ec", FURTHER, "sh", &lines];
        let (status, _) = online.logged(tools::step(Network::Host, script)).await?;
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("further");
        let usual = self.binds.len();
        self.binds.push(bind(true, LISTS_INSIDE));
        let taken = step::root("/", ["sh", "-ec", TAKE, "sh", LISTS_INSIDE, name]);
        let ended = self.logged(taken).await;
        self.binds.truncate(usual);
        let (copied, tail) = ended?;
        if copied != 0 {
            let detail = format!("package lists cannot be taken over: {}", reason(&tail));
            return Err(BuildError::fault(FaultKind::WorkerFailed, detail));
        }
        Ok(status == 0)
    }

    /// What is installed, sorted.
    pub(super) async fn installed(&self) -> Result<Vec<Listed>, BuildError> {
        let format = "-f=${db:Status-Abbrev} ${Package} ${Version} ${Architecture}\\n";
        let (status, printed) =
            self.captured(step::root("/", ["dpkg-query", "-W", format])).await?;
        if status != 0 {
            let detail = format!("installed packages cannot be listed: {}", reason(&printed));
            return Err(BuildError::fault(FaultKind::WorkerFailed, detail));
        }
        let mut all: Vec<Listed> = printed.lines().filter_map(listed).collect();
        all.sort();
        Ok(all)
    }
}

/// See `Attempted::environment_sha256`.
pub(super) fn digest(installed: &[Listed]) -> Sha256 {
    let mut lines: Vec<String> = installed
        .iter()
        .map(|package| format!("{} {} {}\n", package.name, package.version, package.architecture))
        .collect();
    lines.sort_unstable();
    Sha256::of(lines.concat().as_bytes())
}

/// The lines in which a tool tells why it failed: at most four, in one.
pub(super) fn reason(printed: &str) -> String {
    let errors: Vec<&str> = printed
        .lines()
        .map(str::trim)
        .filter(|line| {
            ["E: ", "Depends: ", "Conflicts: ", "Breaks: "].iter().any(|word| line.contains(word))
                || line.contains(": error: ")
        })
        .take(4)
        .collect();
    if errors.is_empty() {
        let last = printed.lines().map(str::trim).rfind(|line| !line.is_empty());
        return last.unwrap_or("it said nothing").to_owned();
    }
    errors.join("; ")
}

fn listed(line: &str) -> Option<Listed> {
    let mut words = line.split_ascii_whitespace();
    let (state, name, version, architecture) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    (state == "ii" || state == "hi").then(|| Listed {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: architecture.to_owned(),
    })
}

/// Argument: lines of sources.list.
const FURTHER: &str = "umask 022; cd /target; mkdir -p etc/apt var/lib/apt/lists/partial \
                       var/cache/apt var/lib/dpkg; : >var/lib/dpkg/status; \
                       printf %s \"$1\" >etc/apt/sources.list; exec apt-get -q update";

/// Arguments: the folder that is the target above, a name for the sources.
const TAKE: &str = "find \"$1/var/lib/apt/lists\" -maxdepth 1 -type f ! -name lock \
                    -exec cp -p -t /var/lib/apt/lists {} +; \
                    cp \"$1/etc/apt/sources.list\" \"/etc/apt/sources.list.d/$2.list\"";

const LISTS_INSIDE: &str = "/srv/rebuilder/lists";
