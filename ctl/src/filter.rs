//! The options that say which packages are meant.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use rebuilder_actors::domain::filter::FILTERS_MAX;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, PackageStatus};

use crate::args::Selection;
use crate::failure::Failure;

/// Which packages; every kind of filter that is given must match.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters (all that are given must match)")]
pub struct FilterArgs {
    /// Name of a binary or source package; `*` and `?` as in a shell, several: any of them
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub plain_names: Vec<String>,
    /// The same as NAME
    #[arg(long = "name", value_name = "GLOB", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Shown status; several, with commas or repeated: any of them. GOOD is reproduced, BAD differs
    /// or missing, FAIL build-failed, UNKWN everything without a verdict
    #[arg(long = "status", value_name = "STATUS", value_delimiter = ',', ignore_case = true)]
    #[arg(hide_possible_values = true)]
    pub statuses: Vec<StatusArg>,
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
    /// Taken out of the queue by an operator.
    Dropped,
    /// Reproduced.
    #[value(name = "GOOD")]
    Good,
    /// Differs or missing.
    #[value(name = "BAD")]
    Bad,
    /// The build failed.
    #[value(name = "FAIL")]
    Fail,
    /// No verdict.
    #[value(name = "UNKWN")]
    Unkwn,
}

impl FilterArgs {
    /// As it is sent: one filter for each combination of a name and a status, any of which may
    /// match.
    pub fn to_wire(&self) -> Vec<PackageFilter> {
        let names = self.plain_names.iter().chain(&self.names).cloned().map(Some);
        let mut names: Vec<Option<String>> = names.collect();
        if names.is_empty() {
            names.push(None);
        }
        let mut statuses: Vec<Option<PackageStatus>> =
            self.statuses.iter().flat_map(|status| status.to_wire()).copied().map(Some).collect();
        statuses.sort_unstable();
        statuses.dedup();
        if statuses.is_empty() {
            statuses.push(None);
        }
        let combined = names.iter().flat_map(|name| statuses.iter().map(move |s| (name, *s)));
        let filter = |(name, status): (&Option<String>, Option<PackageStatus>)| PackageFilter {
            name: name.clone(),
            version: self.version.clone(),
            status,
            distribution: self.distribution.clone(),
            release: self.release.clone(),
            component: self.component.clone(),
            architecture: self.architecture.clone(),
        };
        combined.map(filter).collect()
    }

    /// As it is sent where one package or job is meant.
    ///
    /// # Errors
    /// Nothing is named, or several names or statuses are.
    pub fn to_one(&self) -> Result<PackageFilter, Failure> {
        let mut filters = self.to_wire();
        if self.is_empty() {
            let text = "which package? give its NAME, and --release or --architecture where \
                        several match";
            return Err(Failure::Usage(text.to_owned()));
        }
        match (filters.pop(), filters.is_empty()) {
            (Some(filter), true) => Ok(filter),
            _ => Err(Failure::Usage(
                "one package is shown at a time: give one NAME and at most one --status".to_owned(),
            )),
        }
    }

    /// True when nothing is given: everything matches.
    pub fn is_empty(&self) -> bool {
        self.to_wire() == [PackageFilter::default()]
    }

    /// As [`FilterArgs::to_wire`].
    ///
    /// # Errors
    /// More combinations than a coordinator takes.
    pub fn to_several(&self) -> Result<Vec<PackageFilter>, Failure> {
        let filters = self.to_wire();
        if filters.len() > FILTERS_MAX {
            return Err(Failure::Usage(format!(
                "{} combinations of names and statuses are too many: at most {FILTERS_MAX}; a name \
                 may be a pattern, such as 'lib*'",
                filters.len()
            )));
        }
        Ok(filters)
    }
}

impl StatusArg {
    /// What it stands for.
    fn to_wire(self) -> &'static [PackageStatus] {
        match self {
            Self::Reproduced | Self::Good => &[PackageStatus::Reproduced],
            Self::Differs => &[PackageStatus::Differs],
            Self::Missing => &[PackageStatus::Missing],
            Self::Bad => &[PackageStatus::Differs, PackageStatus::Missing],
            Self::BuildFailed | Self::Fail => &[PackageStatus::BuildFailed],
            Self::Unknown => &[PackageStatus::Unknown],
            Self::Parked => &[PackageStatus::Parked],
            Self::Dropped => &[PackageStatus::Dropped],
            Self::Unkwn => &[PackageStatus::Unknown, PackageStatus::Parked, PackageStatus::Dropped],
        }
    }
}

impl Selection {
    /// As it is sent.
    ///
    /// # Errors
    /// Neither a filter nor `--all`, so that a forgotten variable in a script does not touch every
    /// job; or both, which contradict each other.
    pub fn to_wire(&self, order: &str) -> Result<Vec<PackageFilter>, Failure> {
        match (self.filter.is_empty(), self.all) {
            (true, false) => Err(Failure::Usage(format!(
                "`{order}` without a filter would touch every job; give a filter such as \
                 --name, or --all if every job is meant"
            ))),
            (false, true) => {
                Err(Failure::Usage(format!("`{order}` takes either filters or --all, not both")))
            }
            _ => self.filter.to_several(),
        }
    }
}
