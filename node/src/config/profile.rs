use core::ops::Range;
use core::time::Duration;
use std::path::PathBuf;

use rebuilder_actors::domain::queue::ProfilePolicy;
use rebuilder_actors::domain::sync::{Filter, FilterSpec};
use rebuilder_actors::protocol::Archive;
use toml::Spanned;

use super::confused::suspicious;
use super::error::Problems;
use super::file;
use super::value::{Within, Word, is_word, not_a_word};
use crate::distribution::{self, Distribution, Written, registry};
use crate::index::{Environment, Release};

/// Which packages of which distribution are followed, and how they are queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileConfig {
    /// Of the table `[profile."name"]`.
    pub name: String,
    /// Also names the backend that its jobs ask for.
    pub distribution: String,
    /// Who reads its index.
    pub index: &'static dyn Distribution,
    /// URL without its last slash, absolute path, or `apt`.
    pub source: String,
    /// In the order of the file.
    pub releases: Vec<Release>,
    /// In the order of the file.
    pub components: Vec<String>,
    /// In the order of the file.
    pub architectures: Vec<String>,
    /// Which packages of them.
    pub filter: Filter,
    /// The same as it was written.
    pub filter_spec: FilterSpec,
    /// Where build environments are known from.
    pub environment: Environment,
    /// Services with the interface of Debian's snapshot archive.
    pub snapshots: Vec<String>,
    /// Where packages of the environment come from besides the release itself.
    pub archives: Vec<Archive>,
    /// `None`: the distribution's installed one, or what `Signed-By` says with `source = "apt"`.
    pub keyring: Option<PathBuf>,
    /// False: indexes need no signature, and every verdict says so.
    pub check_signature: bool,
    /// Percentage of packages whose loss refuses an index; 100: none does.
    pub shrink_guard_percent: u8,
    /// Percentage of stanzas that cannot be read beyond which an index is refused; 100: none is.
    pub unreadable_guard_percent: u8,
    /// False: releases that expired are followed, and their verdicts say so.
    pub check_valid_until: bool,
    /// What a release may call itself besides its own name.
    pub accept_suite: Vec<String>,
    /// Packages that the profile may follow in all.
    pub packages_max: usize,
    /// Time between two looks at the index.
    pub interval: Duration,
    /// What its jobs get.
    pub policy: ProfilePolicy,
}

impl ProfileConfig {
    /// `None` when a problem was found that leaves nothing to work with.
    pub(super) fn read(
        name: &Spanned<String>,
        file: file::Profile,
        problems: &mut Problems<'_>,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let header = name.span();
        let name = name.get_ref().as_str();
        if !is_word(name) {
            problems.add(Some(header.clone()), not_a_word(name));
        }
        let distribution = distribution(&file, name, &header, problems)?;
        let index = index(&file, &distribution, &header, problems);
        let (filter, filter_spec) = filter(&file, &header, problems);
        let environment = environment(&file, &distribution, &header, problems);
        let source = source(&file, name, &header, problems);
        if let Some(index) = index {
            require_lists(&file, (name, &source), index, &header, problems);
        }
        let check_signature = file.check_signature.unwrap_or(true);
        if !check_signature {
            warnings.push(unsigned(name));
        }
        let check_valid_until = file.check_valid_until.unwrap_or(true);
        if !check_valid_until {
            warnings.push(expired(name));
        }
        let components =
            one_or_list(file.components, file.suite, ["suite", "components"], problems);
        let older = file.architecture.map(|one| spanned(one.span(), one.into_inner().0));
        if let Some(one) = &older {
            warnings.push(format!(
                "profile `{name}`: `architecture = \"{0}\"` means `architectures = [\"{0}\"]`, \
                 which leaves out packages for `all`",
                one.get_ref()
            ));
        }
        let keys = ["architecture", "architectures"];
        let architectures = one_or_list(words(file.architectures), older, keys, problems);
        warnings.extend(suspicious(name, &file.releases, &components, &filter_spec));
        let snapshots = file.snapshots.map(|list| list.into_iter().map(|place| place.0).collect());
        let snapshots: Vec<String> = snapshots.unwrap_or_default();
        let policy = ProfilePolicy {
            priority: file.priority,
            initial_delay: file.initial_delay.map(|secs| Duration::from_secs(secs.into())),
            max_retries: file.max_retries,
            tags: words(file.tags),
            check_published: file.check_published.unwrap_or(false),
        };
        Some(Self {
            name: name.to_owned(),
            distribution,
            index: index?,
            source,
            releases: file.releases.into_iter().map(release).collect(),
            components,
            architectures,
            filter: filter?,
            filter_spec,
            environment,
            snapshots,
            archives: file.archives.into_iter().map(archive).collect(),
            keyring: file.keyring.map(|path| path.0),
            check_signature,
            shrink_guard_percent: file.shrink_guard_percent.map_or(SHRINK_GUARD_PERCENT, percent),
            unreadable_guard_percent: file
                .unreadable_guard_percent
                .map_or(UNREADABLE_GUARD_PERCENT, percent),
            check_valid_until,
            accept_suite: file.accept_suite,
            packages_max: file.packages_max.map_or(PACKAGES_MAX, |count| count.0 as usize),
            interval: Duration::from_secs(
                file.interval_secs.map_or(INTERVAL_SECS, |secs| u64::from(secs.0)),
            ),
            policy,
        })
    }
}

fn source(
    file: &file::Profile,
    name: &str,
    header: &Range<usize>,
    problems: &mut Problems<'_>,
) -> String {
    let Some(source) = &file.source else {
        let message =
            format!("profile `{name}` has no `source`: write a mirror's URL, a path, or `apt`");
        problems.add(Some(header.clone()), message);
        return String::new();
    };
    if source.get_ref().0.contains('$') {
        let message = "`$repo` and `$arch` are placeholders of pacman's mirror lists: give the \
                       archive's base, the folder that holds `dists` and `pool`";
        problems.add(Some(source.span()), message);
    }
    source.get_ref().0.clone()
}

fn release(release: file::Release) -> Release {
    Release {
        name: release.name,
        source: release.source.map(|source| source.0),
        pin: release.inrelease_sha256.map(|digest| digest.0),
    }
}

fn percent(percent: Within<0, 100>) -> u8 {
    u8::try_from(percent.0).expect("it is at most 100")
}

fn unsigned(name: &str) -> String {
    format!(
        "profile `{name}` does not check signatures (`check_signature = false`): whoever controls \
         the mirror or the way to it decides what its verdicts are about"
    )
}

fn expired(name: &str) -> String {
    format!(
        "profile `{name}` follows indexes that expired (`check_valid_until = false`): a mirror can \
         hide everything that came later, and verdicts say so"
    )
}

/// Percentage of stanzas that cannot be read beyond which an index is refused, unless configured:
/// as for those that are lost.
const UNREADABLE_GUARD_PERCENT: u8 = 50;
/// Percentage of packages whose loss refuses an index, unless configured.
const SHRINK_GUARD_PERCENT: u8 = 50;
/// Packages that a profile may follow, unless configured: four times those of one of Debian's
/// releases for one architecture.
const PACKAGES_MAX: usize = 300_000;
/// Seconds between two looks at an index, unless configured.
const INTERVAL_SECS: u64 = 3600;

fn distribution(
    file: &file::Profile,
    name: &str,
    header: &Range<usize>,
    problems: &mut Problems<'_>,
) -> Option<String> {
    match (&file.distribution, &file.distro) {
        (Some(new), None) => Some(new.0.clone()),
        (None, Some(old)) => Some(old.get_ref().0.clone()),
        (Some(new), Some(old)) => {
            problems.add(Some(old.span()), both("distro", "distribution"));
            Some(new.0.clone())
        }
        (None, None) => {
            let message = format!("profile `{name}` has no `distribution`");
            problems.add(Some(header.clone()), message);
            None
        }
    }
}

fn index(
    file: &file::Profile,
    distribution: &str,
    header: &Range<usize>,
    problems: &mut Problems<'_>,
) -> Option<&'static dyn Distribution> {
    if let (Some(_), Some(old)) = (&file.index, &file.sync_method) {
        problems.add(Some(old.span()), both("sync_method", "index"));
    }
    let given = file.index.as_ref().or(file.sync_method.as_ref());
    let name = given.map_or(distribution, |given| given.get_ref());
    let found = distribution::named(name);
    if found.is_none() {
        let known: Vec<_> = registry().iter().map(|known| format!("`{}`", known.name())).collect();
        let message = format!(
            "there is no reader for the indexes of `{name}`: only archives that are laid out like \
             those of {} can be followed; if this one is, say so with `index`",
            known.join(", ")
        );
        problems.add(Some(given.map_or(header.clone(), Spanned::span)), message);
    }
    found
}

fn filter(
    file: &file::Profile,
    header: &Range<usize>,
    problems: &mut Problems<'_>,
) -> (Option<Filter>, FilterSpec) {
    let spec = FilterSpec {
        include: file.include.clone(),
        maintainers: file.maintainers.clone(),
        pkgs: file.pkgs.clone(),
        excludes: file.excludes.clone(),
    };
    let filter = Filter::new(&spec)
        .map_err(|error| problems.add_near(header.start, &error.pattern, error.to_string()))
        .ok();
    (filter, spec)
}

fn environment(
    file: &file::Profile,
    distribution: &str,
    header: &Range<usize>,
    problems: &mut Problems<'_>,
) -> Environment {
    let wanted = file.environment.unwrap_or(file::Environment::Recorded);
    if wanted == file::Environment::Suite {
        if let Some(buildinfos) = &file.buildinfos {
            let message = "`buildinfos` is of no use with `environment = \"suite\"`";
            problems.add(Some(buildinfos.span()), message);
        }
        return Environment::Suite;
    }
    let known = distribution::named(distribution).and_then(|known| known.records_url());
    let buildinfo_url = match (&file.buildinfos, known) {
        (Some(place), _) => place.get_ref().0.clone(),
        (None, Some(known)) => known.to_owned(),
        (None, None) => {
            let message = format!(
                "it is not known where `{distribution}` publishes its build environments: set \
                 `buildinfos`, or `environment = \"suite\"` to assume today's"
            );
            problems.add(Some(header.clone()), message);
            String::new()
        }
    };
    match wanted {
        file::Environment::RecordedOrSuite => Environment::RecordedOrSuite { buildinfo_url },
        _ => Environment::Recorded { buildinfo_url },
    }
}

fn require_lists(
    file: &file::Profile,
    (name, source): (&str, &str),
    index: &dyn Distribution,
    header: &Range<usize>,
    problems: &mut Problems<'_>,
) {
    let releases: Vec<&str> = file.releases.iter().map(|release| &*release.name).collect();
    for key in index.required(&Written { source, releases: &releases }) {
        let is_there = match key {
            "components" => !file.components.is_empty() || file.suite.is_some(),
            "architectures" => !file.architectures.is_empty() || file.architecture.is_some(),
            _ => !releases.is_empty(),
        };
        let is_confused = key == "releases" && file.suite.is_some();
        let hint = if is_confused { " (`suite` is one of the `components`)" } else { "" };
        if !is_there {
            let message = format!("profile `{name}` has no `{key}`{hint}");
            problems.add(Some(header.clone()), message);
        }
    }
}

/// The list, or the one value that the older spelling had.
fn one_or_list(
    list: Vec<String>,
    one: Option<Spanned<String>>,
    [old, new]: [&str; 2],
    problems: &mut Problems<'_>,
) -> Vec<String> {
    let Some(one) = one else { return list };
    if !list.is_empty() {
        problems.add(Some(one.span()), both(old, new));
    }
    vec![one.into_inner()]
}

fn both(old: &str, new: &str) -> String {
    format!("`{old}` is the older spelling of `{new}`: remove one of them")
}

fn archive(archive: file::Archive) -> Archive {
    Archive::Suite {
        url: archive.url.0.into(),
        suite: archive.suite.into(),
        components: archive.components.into_iter().map(Into::into).collect(),
    }
}

pub(crate) fn words(words: Vec<Word>) -> Vec<String> {
    words.into_iter().map(|word| word.0).collect()
}

fn spanned(span: Range<usize>, text: String) -> Spanned<String> {
    Spanned::new(span, text)
}
