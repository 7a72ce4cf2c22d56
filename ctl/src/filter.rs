//! The options that say which packages are meant.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, PackageStatus};

use crate::args::Selection;
use crate::failure::Failure;

/// Which packages; every option that is given must match.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters (all that are given must match)")]
pub struct FilterArgs {
    /// Name of a binary or source package; `*` and `?` as in a shell
    #[arg(long, value_name = "GLOB", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Shown status
    #[arg(long)]
    pub status: Option<StatusArg>,
    /// Distribution: debian, archlinux …
    #[arg(long, visible_alias = "distro", value_name = "NAME")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub distribution: Option<String>,
    /// Release: trixie, sid …
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub release: Option<String>,
    /// Component: main, core …
    #[arg(long, visible_alias = "suite", value_name = "NAME")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub component: Option<String>,
    /// Architecture of the package: amd64, all …
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub architecture: Option<String>,
    /// Exact version
    #[arg(long, value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    pub version: Option<String>,
}

/// A status on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    /// Bit for bit the same.
    Reproduced,
    /// The rebuilt file has other bytes.
    Differs,
    /// The build made no such file.
    Missing,
    /// The build failed.
    BuildFailed,
    /// No verdict yet.
    Unknown,
    /// Not tried again until something changes.
    Parked,
}

impl FilterArgs {
    /// As it is sent.
    pub fn to_wire(&self) -> PackageFilter {
        PackageFilter {
            name: self.name.clone(),
            version: self.version.clone(),
            status: self.status.map(StatusArg::to_wire),
            distribution: self.distribution.clone(),
            release: self.release.clone(),
            component: self.component.clone(),
            architecture: self.architecture.clone(),
        }
    }

    /// True when nothing is given: everything matches.
    pub fn is_empty(&self) -> bool {
        self.to_wire() == PackageFilter::default()
    }
}

impl StatusArg {
    fn to_wire(self) -> PackageStatus {
        match self {
            Self::Reproduced => PackageStatus::Reproduced,
            Self::Differs => PackageStatus::Differs,
            Self::Missing => PackageStatus::Missing,
            Self::BuildFailed => PackageStatus::BuildFailed,
            Self::Unknown => PackageStatus::Unknown,
            Self::Parked => PackageStatus::Parked,
        }
    }
}

impl Selection {
    /// As it is sent.
    ///
    /// # Errors
    /// Neither a filter nor `--all`, so that a forgotten variable in a script does not touch every
    /// job; or both, which contradict each other.
    pub fn to_wire(&self, verb: &str) -> Result<PackageFilter, Failure> {
        match (self.filter.is_empty(), self.all) {
            (true, false) => Err(Failure::Usage(format!(
                "`queue {verb}` without a filter would touch every job; give a filter such as \
                 --name, or --all if every job is meant"
            ))),
            (false, true) => Err(Failure::Usage(format!(
                "`queue {verb}` takes either filters or --all, not both"
            ))),
            _ => Ok(self.filter.to_wire()),
        }
    }
}
