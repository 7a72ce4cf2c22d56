use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use rebuilder_actors::protocol::{FaultKind, Sha256};

use super::archives::Archives;
use super::install::reason;
use super::settings::DebianSettings;
use super::step;
use super::tools::{self, KEYRING_INSIDE, TARGET, Tools};
use super::wanted::wanted;
use crate::backend::{BuildError, Found, decide, faults};
use crate::distribution::debian::format::names;
use crate::environment::{Chroot, PackageCache, Recipe, Step, Wanted, say};
use crate::fetch::Fetcher;
use crate::sandbox::{self, Bind, Network, Root};

/// Makes a base root, as `mmdebstrap --variant=buildd` would. All of it happens in sandboxes: what
/// has the network runs no package's code and only the host's tools, what runs a package's code has
/// the loopback alone and nothing of the host.
pub(super) struct Bootstrap<'a> {
    /// What two equal roots have in common: the name under which a whole one is kept.
    pub(super) key: String,
    pub(super) settings: &'a DebianSettings,
    pub(super) architecture: &'a str,
    pub(super) archives: &'a Archives,
    pub(super) keyring: &'a Path,
    pub(super) cache: &'a PackageCache,
    pub(super) fetcher: &'a Fetcher,
    /// The attempt for which it is made: its limits, its log, its end.
    pub(super) attempt: &'a Chroot<'a>,
}

impl Recipe for Bootstrap<'_> {
    fn key(&self) -> &str {
        &self.key
    }

    fn summary(&self) -> String {
        let suites: Vec<String> = self.archives.suites.iter().map(|suite| suite.name()).collect();
        format!("{} of {}", self.architecture, suites.join(", "))
    }

    async fn indexes(&self) -> Result<BTreeMap<String, Sha256>, BuildError> {
        self.releases().await
    }

    async fn make(&self, making: &Path) -> Result<(), BuildError> {
        match self.run(making).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.unread(making).await),
            Err(ended) => Err(ended),
        }
    }
}

/// Which packages are unpacked before the root can install any; paths of files.
struct First {
    essential: Vec<String>,
    /// apt and what it needs besides.
    apt: Vec<String>,
}

impl Bootstrap<'_> {
    async fn releases(&self) -> Result<BTreeMap<String, Sha256>, BuildError> {
        let mut releases = BTreeMap::new();
        for suite in &self.archives.suites {
            let url = suite.release_url();
            let bytes = self.fetcher.get(&url, RELEASE_BYTES_MAX).await.map_err(|error| {
                BuildError::fault(
                    faults::of_fetch(&error),
                    format!("suite cannot be read: {error}"),
                )
            })?;
            releases.insert(url, Sha256::of(&bytes));
        }
        Ok(releases)
    }

    /// Makes `making/root`. False when the package lists cannot be read: why, the caller finds out.
    async fn run(&self, making: &Path) -> Result<bool, BuildError> {
        let scratch = making.join("scratch");
        let root = making.join("root");
        let packages = scratch.join("packages");
        let tools = self.tools(making, &root, &scratch).await?;
        if !self.lists(&tools, &root).await? {
            return Ok(false);
        }
        let first = self.fetch(&tools, &root, &packages).await?;
        self.unpack(&tools, &root, &packages, &first).await?;
        let inside = self.inside(&root, &scratch);
        self.install(&inside, &packages, &first).await?;
        // A script that outlived its killed child leaves a root that many builds would differ in.
        decide(Found::Compared { reproduced: false }, &self.attempt.observed())?;
        // What stays of it is beside the root, which is whole.
        sandbox::clear(&scratch).await?;
        Ok(true)
    }

    /// An empty root, and the tools that fill it, which have a folder in `scratch`.
    async fn tools(&self, making: &Path, root: &Path, scratch: &Path) -> Result<Tools, BuildError> {
        let owner = self.attempt.sandbox.root_id();
        prepare(root, &scratch.join("packages"), &scratch.join("nothing"), owner)
            .map_err(|error| BuildError::io("make", making, &error))?;
        let folder = scratch.join("tools");
        Tools::new(self.attempt.sandbox, folder, self.architecture, self.keyring).await
    }

    /// Which fault it is that apt could not read the package lists: asked again, step by step.
    async fn unread(&self, making: &Path) -> BuildError {
        if let Err(ended) = self.releases().await {
            return ended;
        }
        match self.are_trusted(making).await {
            Err(ended) => ended,
            Ok(true) => {
                let detail = format!("package lists of {} cannot be fetched", self.summary());
                BuildError::fault(FaultKind::FetchFailed, detail)
            }
            Ok(false) => {
                let detail = format!(
                    "apt does not accept the suites of {} (signature, date, name): the log has \
                     what it says",
                    self.summary()
                );
                BuildError::fault(FaultKind::InputsUnavailable, detail)
            }
        }
    }

    /// Whether apt accepts the suites' `InRelease` files: the only thing that is read then. For
    /// telling what failed.
    async fn are_trusted(&self, making: &Path) -> Result<bool, BuildError> {
        let scratch = making.join("trust");
        let root = scratch.join("root");
        let tools = self.tools(making, &root, &scratch).await?;
        let none = "Acquire::IndexTargets::deb::Packages::DefaultEnabled=false";
        self.update(&tools, &root, &["-o", none]).await
    }

    async fn lists(&self, tools: &Tools, root: &Path) -> Result<bool, BuildError> {
        self.update(tools, root, &[]).await
    }

    async fn update(
        &self,
        tools: &Tools,
        root: &Path,
        options: &[&str],
    ) -> Result<bool, BuildError> {
        let lines = self.archives.base_lines(KEYRING_INSIDE);
        let script = ["sh", "-ec", LISTS, "sh", self.architecture, &lines];
        let step = tools::step(Network::Host, script.into_iter().chain(options.iter().copied()));
        let chroot = tools.online(self.attempt, &self.archives.suites, vec![target(root)]);
        let (status, _) = chroot.logged(step).await?;
        Ok(status == 0)
    }

    /// Fetches all packages of the root by the digests of the signed lists, and tells which come
    /// first.
    async fn fetch(
        &self,
        tools: &Tools,
        root: &Path,
        packages: &Path,
    ) -> Result<First, BuildError> {
        let essential = self.essential();
        let mut all = self.resolve(tools, root, &[&essential]).await?;
        all.extend(self.resolve(tools, root, &[&essential, "apt"]).await?);
        let rest = self.rest();
        let everything: Vec<&str> =
            [&*essential].into_iter().chain(rest.iter().map(String::as_str)).collect();
        all.extend(self.resolve(tools, root, &everything).await?);
        all.sort_by(|a, b| a.file.cmp(&b.file));
        all.dedup();
        let bytes_max = self.settings.limits.package_bytes_max;
        let provided = self.cache.provide(&all, bytes_max, packages);
        let (count, bytes) = self.attempt.unless_cancelled(provided).await?;
        let total = all.len();
        say(
            self.attempt.progress,
            format!("base root: {total} packages, {count} of them fetched ({bytes} bytes)"),
        );
        let essential = self.order(tools, root, packages, &[&essential]).await?;
        let both = self.order(tools, root, packages, &[&self.essential(), "apt"]).await?;
        let apt = both.into_iter().filter(|file| !essential.contains(file)).collect();
        Ok(First { essential, apt })
    }

    /// What apt would fetch to install these, in a root that has nothing.
    async fn resolve(
        &self,
        tools: &Tools,
        root: &Path,
        names: &[&str],
    ) -> Result<Vec<Wanted>, BuildError> {
        let asked = ["apt-get", "-qq", "--yes", "--print-uris", "install"];
        let step = tools::step(Network::Loopback, asked.into_iter().chain(names.iter().copied()));
        let (status, printed) =
            tools.chroot(self.attempt, vec![target(root)]).captured(step).await?;
        if status != 0 {
            return Err(self.unavailable("its packages cannot be found", &printed));
        }
        wanted(&printed, &self.attempt.urls)
    }

    /// The files of these and what they need, in apt's order.
    async fn order(
        &self,
        tools: &Tools,
        root: &Path,
        packages: &Path,
        names: &[&str],
    ) -> Result<Vec<String>, BuildError> {
        let binds = vec![target(root), archives(packages, &format!("{TARGET}{ARCHIVES_INSIDE}"))];
        let script = ["sh", "-ec", ORDER, "sh"];
        let step = tools::step(Network::Loopback, script.into_iter().chain(names.iter().copied()));
        let (status, printed) = tools.chroot(self.attempt, binds).captured(step).await?;
        if status != 0 {
            return Err(self.unavailable("its packages cannot be put in order", &printed));
        }
        let files = printed.lines().filter_map(|line| {
            let name =
                line.strip_prefix(TARGET)?.strip_prefix(ARCHIVES_INSIDE)?.strip_prefix('/')?;
            names::file(name).ok().map(str::to_owned)
        });
        Ok(files.collect())
    }

    async fn unpack(
        &self,
        tools: &Tools,
        root: &Path,
        packages: &Path,
        first: &First,
    ) -> Result<(), BuildError> {
        let binds = vec![target(root), archives(packages, "/srv/packages")];
        let files: Vec<String> =
            first.essential.iter().map(|file| format!("/srv/packages/{file}")).collect();
        let script = ["sh", "-ec", UNPACK, "sh"];
        let files = files.iter().map(String::as_str);
        let step = tools::step(Network::Loopback, script.into_iter().chain(files));
        let (status, tail) = tools.chroot(self.attempt, binds).logged(step).await?;
        if status == 0 {
            return Ok(());
        }
        Err(self.unavailable("its first packages cannot be unpacked", &tail))
    }

    async fn install(
        &self,
        inside: &Chroot<'_>,
        packages: &Path,
        first: &First,
    ) -> Result<(), BuildError> {
        let count = first.essential.len().to_string();
        let files: Vec<String> = first
            .essential
            .iter()
            .chain(&first.apt)
            .map(|file| format!("{ARCHIVES_INSIDE}/{file}"))
            .collect();
        let script = ["sh", "-ec", CONFIGURE, "sh", APT_CONF, &count];
        let files = files.iter().map(String::as_str);
        let step = step::root("/", script.into_iter().chain(files));
        let mut with_packages = inside.elsewhere(inside.root.clone(), Vec::new());
        with_packages.binds = vec![archives(packages, ARCHIVES_INSIDE)];
        self.logged(&with_packages, step, "its first packages cannot be installed").await?;
        let rest = self.rest();
        let arguments: Vec<&str> =
            ["install"].into_iter().chain(rest.iter().map(String::as_str)).collect();
        with_packages.apt(self.cache, packages, "/", &arguments).await?;
        let step = step::root("/", ["sh", "-ec", FINISH]);
        self.logged(inside, step, "it cannot be finished").await
    }

    async fn logged(
        &self,
        chroot: &Chroot<'_>,
        step: Step<'_>,
        what: &str,
    ) -> Result<(), BuildError> {
        let (status, tail) = chroot.logged(step).await?;
        if status == 0 {
            return Ok(());
        }
        Err(self.unavailable(what, &tail))
    }

    /// The new root itself, as everything that its packages bring sees it.
    fn inside(&self, root: &Path, scratch: &Path) -> Chroot<'_> {
        let root = Root {
            lowers: vec![scratch.join("nothing")],
            upper: root.to_owned(),
            work: scratch.join("work"),
        };
        self.attempt.elsewhere(root, Vec::new())
    }

    /// Which suite has the essential packages is not said: an archive of somebody's own, which may
    /// well be the first one, has none.
    fn essential(&self) -> String {
        format!("?narrow(?architecture({}),?essential)", self.architecture)
    }

    fn rest(&self) -> Vec<String> {
        let required = format!(
            "?narrow(?architecture({}),?and(?priority(required),?not(?essential)))",
            self.architecture
        );
        let mut all = self.settings.base_include.clone();
        all.extend(["apt".to_owned(), "build-essential".to_owned(), required]);
        all
    }

    fn unavailable(&self, what: &str, printed: &str) -> BuildError {
        let detail = format!("base root of {}: {what}: {}", self.summary(), reason(printed));
        BuildError::fault(FaultKind::InputsUnavailable, detail)
    }
}

/// Empty folders: the root itself, the packages, and the layer below the root.
fn prepare(root: &Path, packages: &Path, nothing: &Path, owner: u32) -> std::io::Result<()> {
    let id = Some(owner);
    for folder in
        [root.to_owned(), nothing.to_owned(), packages.to_owned(), packages.join("partial")]
    {
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        lchown(&folder, id, id)?;
    }
    Ok(())
}

fn target(root: &Path) -> Bind {
    Bind { source: root.to_owned(), target: TARGET.into(), read_only: false }
}

fn archives(packages: &Path, inside: &str) -> Bind {
    Bind { source: packages.to_owned(), target: PathBuf::from(inside), read_only: false }
}

const ARCHIVES_INSIDE: &str = "/var/cache/apt/archives";

const LISTS: &str = include_str!("scripts/lists.sh");
const ORDER: &str = include_str!("scripts/order.sh");
const UNPACK: &str = include_str!("scripts/unpack.sh");
const CONFIGURE: &str = include_str!("scripts/configure.sh");
const FINISH: &str = include_str!("scripts/finish.sh");

/// The apt of a base root. It runs as root of the sandbox all the time: there is nobody else to
/// protect, and the ids of `_apt` may not read what is bound in.
const APT_CONF: &str = r#"APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Sandbox::User "root";
APT::AutoRemove::RecommendsImportant "false";
APT::AutoRemove::SuggestsImportant "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::ForceHash "SHA256";
Dpkg::Use-Pty "false";
DPkg::Options { "--force-unsafe-io"; "--force-confold"; };
"#;

/// Largest `InRelease` that is read; Debian's have 200 KiB.
const RELEASE_BYTES_MAX: u64 = 8 << 20;
