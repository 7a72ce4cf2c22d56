use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rebuilder_actors::protocol::FaultKind;
use rebuilder_actors::protocol::text::counted_len;

use super::archives::Archives;
use super::install::{Listed, reason};
use super::snapshot::Snapshot;
use super::step;
use super::tools::Tools;
use crate::backend::BuildError;
use crate::distribution::debian::format::{Buildinfo, Installed};
use crate::environment::{Chroot, PackageCache, say};
use crate::fetch::Fetcher;

/// Makes what is installed equal to what was recorded.
pub(super) struct Environment<'a> {
    pub(super) archives: &'a Archives,
    pub(super) recorded: &'a Buildinfo,
    pub(super) cache: &'a PackageCache,
    pub(super) packages: &'a Path,
    pub(super) fetcher: &'a Fetcher,
    pub(super) tools: &'a Tools,
    /// Where package lists are fetched to.
    pub(super) lists: &'a Path,
}

impl Environment<'_> {
    /// Answers what is installed then: every recorded version, verified, and what apt needs.
    pub(super) async fn make(&self, chroot: &mut Chroot<'_>) -> Result<Vec<Listed>, BuildError> {
        let native = self.recorded.build_architecture.as_str();
        let wanted = &self.recorded.installed;
        let foreign: Vec<&Installed> = wanted
            .iter()
            .filter(|p| p.architecture.as_deref().is_some_and(|a| a != native && a != "all"))
            .collect();
        if !foreign.is_empty() {
            return Err(unavailable("packages of another architecture", &foreign));
        }
        let before = chroot.installed().await?;
        let differing = differing(wanted, &before);
        let (all, other) = (counted_len(wanted.len(), "package"), differing.len());
        say(chroot.progress, format!("recorded: {all}, of which the base has not {other}"));
        if !differing.is_empty() {
            self.find(chroot, &differing).await?;
            self.install(chroot).await?;
        }
        let after = chroot.installed().await?;
        let after = if surplus(wanted, &after).is_empty() {
            after
        } else {
            self.remove_surplus(chroot, &after).await?;
            chroot.installed().await?
        };
        let wrong = self::differing(wanted, &after);
        if !wrong.is_empty() {
            return Err(unavailable("could not be installed in these versions", &wrong));
        }
        let besides: Vec<String> = surplus(wanted, &after)
            .into_iter()
            .map(|package| format!("{}={}", package.name, package.version))
            .collect();
        say(chroot.progress, format!("installed as recorded; besides: {}", besides.join(" ")));
        Ok(after)
    }

    /// Makes sure that apt knows each of these versions, asking one kind of archive after another.
    async fn find(&self, chroot: &mut Chroot<'_>, all: &[&Installed]) -> Result<(), BuildError> {
        let mut missing = self.unknown(chroot, all).await?;
        if !missing.is_empty() && !self.archives.flat.is_empty() {
            if !chroot.update(self.tools, &self.archives.flat, &self.lists.join("flat")).await? {
                let detail = "a flat repository of the profile cannot be read";
                return Err(BuildError::fault(FaultKind::FetchFailed, detail));
            }
            missing = self.unknown(chroot, &missing).await?;
        }
        for url in &self.archives.snapshots {
            let snapshot = Snapshot { url, fetcher: self.fetcher, suites: &self.archives.suites };
            for round in 0..SNAPSHOT_ROUNDS_MAX {
                if missing.is_empty() {
                    return Ok(());
                }
                let work = snapshot.sources_for(&missing, chroot.progress);
                let sources = chroot.unless_cancelled(work).await?;
                if sources.is_empty() {
                    break;
                }
                let folder = self.lists.join(format!("snapshot-{round}"));
                chroot.update(self.tools, &sources, &folder).await?;
                let left = self.unknown(chroot, &missing).await?;
                if left.len() == missing.len() {
                    break;
                }
                missing = left;
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(unavailable("no archive of the profile has", &missing))
    }

    /// Those that no list of apt has in the recorded version.
    async fn unknown<'b>(
        &self,
        chroot: &Chroot<'_>,
        all: &[&'b Installed],
    ) -> Result<Vec<&'b Installed>, BuildError> {
        let mut known = BTreeSet::new();
        for some in all.chunks(NAMES_AT_ONCE) {
            let names = some.iter().map(|package| package.name.as_str());
            let step = step::root("/", ["apt-cache", "madison"].into_iter().chain(names));
            // Its status tells of the last name only.
            let (_, printed) = chroot.captured(step).await?;
            for line in printed.lines() {
                let mut words = line.split('|').map(str::trim);
                if let (Some(name), Some(version)) = (words.next(), words.next()) {
                    known.insert((name.to_owned(), version.to_owned()));
                }
            }
        }
        let is_known = |p: &Installed| known.contains(&(p.name.clone(), p.version.clone()));
        Ok(all.iter().filter(|package| !is_known(package)).copied().collect())
    }

    async fn install(&self, chroot: &Chroot<'_>) -> Result<(), BuildError> {
        let exact: Vec<String> = self
            .recorded
            .installed
            .iter()
            .map(|package| format!("{}={}", package.name, package.version))
            .collect();
        let options = [
            "install",
            "--no-install-recommends",
            "--allow-downgrades",
            "--allow-change-held-packages",
        ];
        let arguments: Vec<&str> =
            options.into_iter().chain(exact.iter().map(String::as_str)).collect();
        chroot.apt(self.cache, self.packages, "/", &arguments).await
    }

    /// Removes what neither was recorded nor is needed by apt, which stays for the sake of the
    /// tools, or by fakeroot, which the build daemons have without recording it.
    async fn remove_surplus(&self, chroot: &Chroot<'_>, now: &[Listed]) -> Result<(), BuildError> {
        let recorded: BTreeSet<&str> =
            self.recorded.installed.iter().map(|package| package.name.as_str()).collect();
        let is_kept = |name: &str| recorded.contains(name) || KEPT.contains(&name);
        let (kept, others): (Vec<&str>, Vec<&str>) =
            now.iter().map(|package| package.name.as_str()).partition(|name| is_kept(name));
        let script = "n=$1; shift; apt-mark -q auto \"$@\" >/dev/null && shift $n && \
                      apt-mark -q manual \"$@\" >/dev/null && apt-get -q --purge autoremove";
        let count = others.len().to_string();
        let arguments = ["sh", "-c", script, "sh", &count].into_iter().chain(others).chain(kept);
        let (status, tail) = chroot.logged(step::root("/", arguments)).await?;
        if status == 0 {
            return Ok(());
        }
        let detail =
            format!("packages that were not recorded cannot be removed: {}", reason(&tail));
        Err(BuildError::fault(FaultKind::WorkerFailed, detail))
    }
}

/// The recorded packages that are not installed in their version.
fn differing<'a>(wanted: &'a [Installed], now: &[Listed]) -> Vec<&'a Installed> {
    let now: BTreeMap<&str, &str> =
        now.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    wanted
        .iter()
        .filter(|package| now.get(package.name.as_str()) != Some(&package.version.as_str()))
        .collect()
}

/// What is installed though it was not recorded.
fn surplus<'a>(wanted: &[Installed], now: &'a [Listed]) -> Vec<&'a Listed> {
    let wanted: BTreeSet<&str> = wanted.iter().map(|package| package.name.as_str()).collect();
    now.iter().filter(|package| !wanted.contains(package.name.as_str())).collect()
}

fn unavailable(what: &str, packages: &[&Installed]) -> BuildError {
    let mut names: Vec<String> = packages
        .iter()
        .take(NAMED_MAX)
        .map(|package| format!("{}={}", package.name, package.version))
        .collect();
    if packages.len() > NAMED_MAX {
        names.push(format!("and {} more", packages.len() - NAMED_MAX));
    }
    let detail = format!("recorded environment unavailable: {what}: {}", names.join(", "));
    BuildError::fault(FaultKind::InputsUnavailable, detail)
}

/// See [`Environment::remove_surplus`].
const KEPT: [&str; 2] = ["apt", "fakeroot"];

/// How often a snapshot service is asked for another moment; each costs its package lists.
const SNAPSHOT_ROUNDS_MAX: usize = 24;

/// Names given to one apt-cache.
const NAMES_AT_ONCE: usize = 1000;

/// Missing packages that a fault names.
const NAMED_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(name: &str, version: &str) -> Installed {
        Installed { name: name.to_owned(), architecture: None, version: version.to_owned() }
    }

    fn listed(name: &str, version: &str) -> Listed {
        Listed {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
        }
    }

    #[test]
    fn differences_are_found_both_ways() {
        let wanted = [installed("aa", "1"), installed("bb", "2"), installed("cc", "3")];
        let now = [listed("aa", "1"), listed("bb", "2.1"), listed("dd", "4")];
        assert_eq!(differing(&wanted, &now), [&wanted[1], &wanted[2]]);
        assert_eq!(surplus(&wanted, &now), [&now[2]]);
    }

    #[test]
    fn missing_packages_are_named_up_to_a_bound() {
        let many: Vec<Installed> = (0..30).map(|n| installed(&format!("p{n}"), "1")).collect();
        let BuildError::Fault(fault) = unavailable("x", &many.iter().collect::<Vec<_>>()) else {
            panic!("not a fault")
        };
        assert_eq!(fault.kind, FaultKind::InputsUnavailable);
        assert!(fault.detail.contains("p0=1, p1=1") && fault.detail.ends_with("and 10 more"));
    }
}
