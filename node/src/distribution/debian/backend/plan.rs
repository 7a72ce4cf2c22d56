use std::collections::BTreeMap;

use rebuilder_actors::domain::architecture::narrower;
use rebuilder_actors::protocol::{Assignment, FaultKind};

use super::settings::DebianSettings;
use super::step::PATH;
use crate::backend::BuildError;
use crate::distribution::debian::format::Buildinfo;
use crate::distribution::debian::format::SourceControl;
use crate::distribution::debian::format::names;

/// What to run, decided before anything is prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BuildPlan {
    /// Architecture of the base root.
    pub(super) architecture: String,
    /// Which binaries.
    pub(super) kind: Kind,
    /// Folder of the unpacked source; outputs go beside it.
    pub(super) path: String,
    /// The whole environment of the build.
    pub(super) environment: BTreeMap<String, String>,
    /// What is put on top of the changelog; `None` for an ordinary build.
    pub(super) changelog: Option<String>,
}

/// Which binaries of a source are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those of the architecture and those for all.
    Both,
    /// Those for all architectures.
    Independent,
    /// Those of the architecture.
    Native,
}

impl Kind {
    /// For dpkg-buildpackage.
    pub(super) fn build_option(self) -> &'static str {
        match self {
            Self::Both => "-b",
            Self::Independent => "-A",
            Self::Native => "-B",
        }
    }

    /// For `apt-get build-dep`; `None`: no option.
    pub(super) fn dependencies_option(self) -> Option<&'static str> {
        match self {
            Self::Both => None,
            Self::Independent => Some("--indep-only"),
            Self::Native => Some("--arch-only"),
        }
    }

    /// For dpkg-checkbuilddeps; `None`: no option.
    pub(super) fn check_option(self) -> Option<&'static str> {
        match self {
            Self::Both => None,
            Self::Independent => Some("-A"),
            Self::Native => Some("-B"),
        }
    }

    fn of<'a>(architectures: impl Iterator<Item = &'a str>) -> Self {
        let (mut all, mut native) = (false, false);
        for architecture in architectures.filter(|&architecture| architecture != "source") {
            all |= architecture == "all";
            native |= architecture != "all";
        }
        match (all, native) {
            (true, true) => Self::Both,
            (true, false) => Self::Independent,
            _ => Self::Native,
        }
    }
}

impl BuildPlan {
    /// Today's suite is assumed.
    pub(super) fn suite(
        assignment: &Assignment,
        source: &SourceControl,
        settings: &DebianSettings,
    ) -> Result<Self, BuildError> {
        check_source(&assignment.key.source, &source.source)?;
        let (wanted, found) = (&*assignment.key.version, source.version.as_str());
        if binnmu_of(wanted, found) {
            let detail = format!("{wanted}: the changelog of the binNMU is recorded nowhere");
            return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
        }
        check_version(wanted, found)?;
        let mut environment = common_environment();
        let parallel = format!("parallel={}", settings.parallel.max(1));
        let options: Vec<&str> =
            settings.build_options.iter().map(String::as_str).chain([&*parallel]).collect();
        environment.insert("DEB_BUILD_OPTIONS".to_owned(), options.join(" "));
        environment.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
        Ok(Self {
            architecture: base_architecture(&assignment.key.architecture)?,
            kind: Kind::of(assignment.artifacts.iter().map(|artifact| &*artifact.architecture)),
            path: usual_path(source),
            environment,
            changelog: None,
        })
    }

    /// Exactly what was recorded.
    pub(super) fn recorded(
        assignment: &Assignment,
        source: &SourceControl,
        recorded: &Buildinfo,
    ) -> Result<Self, BuildError> {
        check_source(&assignment.key.source, &recorded.source)?;
        check_source(&recorded.source, &source.source)?;
        check_version(&assignment.key.version, &recorded.version)?;
        check_version(&recorded.source_version, &source.version)?;
        let is_binnmu = recorded.version != recorded.source_version;
        if is_binnmu && recorded.binary_only_changes.is_none() {
            let detail = format!("{}: the .buildinfo has no changelog of it", recorded.version);
            return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
        }
        let mut environment = common_environment();
        environment.extend(recorded.environment.clone());
        Ok(Self {
            architecture: base_architecture(&recorded.build_architecture)?,
            kind: Kind::of(recorded.architectures.iter().map(String::as_str)),
            path: recorded.build_path.clone().unwrap_or_else(|| usual_path(source)),
            environment,
            changelog: recorded.binary_only_changes.clone(),
        })
    }
}

/// What every build has besides what is recorded: nothing of this machine.
fn common_environment() -> BTreeMap<String, String> {
    [
        ("PATH", PATH),
        ("HOME", "/nonexistent"),
        ("LOGNAME", "builder"),
        ("USER", "builder"),
        ("SHELL", "/bin/sh"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// Where the build daemons of Debian have built since 2023.
fn usual_path(source: &SourceControl) -> String {
    let version = source.version.split_once(':').map_or(&*source.version, |(_, rest)| rest);
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    format!("/build/reproducible-path/{}-{upstream}", source.source)
}

/// Whether `wanted` is a binNMU of `found`.
fn binnmu_of(wanted: &str, found: &str) -> bool {
    wanted
        .strip_prefix(found)
        .and_then(|rest| rest.strip_prefix("+b"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn check_source(wanted: &str, found: &str) -> Result<(), BuildError> {
    if wanted == found {
        return Ok(());
    }
    let detail = format!("source {wanted} is expected, the input is of {found}");
    Err(BuildError::fault(FaultKind::InputsUnavailable, detail))
}

fn check_version(wanted: &str, found: &str) -> Result<(), BuildError> {
    if wanted == found {
        return Ok(());
    }
    let detail = format!("version {wanted} is expected, the input is of {found}");
    Err(BuildError::fault(FaultKind::InputsUnavailable, detail))
}

/// The native one for `all`. Another one can only be a 32-bit sibling that this processor runs.
fn base_architecture(wanted: &str) -> Result<String, BuildError> {
    let native = native_architecture();
    let name = names::architecture(wanted)
        .map_err(|error| BuildError::fault(FaultKind::InputsUnavailable, error.to_string()))?;
    let is_own = name == native || name == "all";
    if !is_own && !narrower(native).contains(&name) {
        let detail = format!("this machine ({native}) cannot build for {name}");
        return Err(BuildError::fault(FaultKind::BackendMissing, detail));
    }
    Ok(if name == "all" { native } else { name }.to_owned())
}

/// Debian's name of this machine's architecture.
pub(crate) fn native_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "i386",
        "aarch64" => "arm64",
        "arm" => "armhf",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64el",
        "loongarch64" => "loong64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binnmu_is_told_from_other_versions() {
        assert!(binnmu_of("1.0-1+b1", "1.0-1"));
        assert!(binnmu_of("1:1.0+b12", "1:1.0"));
        assert!(!binnmu_of("1.0-1", "1.0-1"));
        assert!(!binnmu_of("1.0-1+b", "1.0-1"));
        assert!(!binnmu_of("1.0-1+build1", "1.0-1"));
        assert!(!binnmu_of("1.0-1+deb12u1", "1.0-1"));
    }

    #[test]
    fn the_kind_follows_from_the_architectures() {
        assert_eq!(Kind::of(["all"].into_iter()), Kind::Independent);
        assert_eq!(Kind::of(["all", "amd64"].into_iter()), Kind::Both);
        assert_eq!(Kind::of(["source", "amd64"].into_iter()), Kind::Native);
        assert_eq!(Kind::of(["source", "all"].into_iter()), Kind::Independent);
    }

    #[test]
    fn the_usual_path_has_the_upstream_version() {
        let source = |version: &str| SourceControl {
            source: "hello".to_owned(),
            version: version.to_owned(),
            files: Vec::new(),
        };
        assert_eq!(usual_path(&source("1:2.10-3-4")), "/build/reproducible-path/hello-2.10-3");
        assert_eq!(usual_path(&source("37~deb12u1")), "/build/reproducible-path/hello-37~deb12u1");
    }
}
