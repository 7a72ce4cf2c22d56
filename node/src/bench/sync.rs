//! How long it takes to read an archive's index, first and again.

use std::path::Path;
use std::time::Duration;

use rebuilder_actors::domain::sync::Filter;
use rebuilder_actors::port::{Clock, IndexError, IndexRead, IndexReader as _};

use crate::distribution::debian::index::{
    AptPaths, DebianReader, DebianSettings, Environment, Release,
};
use crate::fetch::{FetchLimits, Fetcher};

/// What [`run`] measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncTimes {
    /// Wall time of a read with nothing known and nothing cached.
    pub first: Duration,
    /// Wall time of a second read, with nothing changed.
    pub unchanged: Duration,
    /// Groups of the first read.
    pub groups: u64,
    /// Their artifacts.
    pub artifacts: u64,
    /// Groups whose source the index names.
    pub with_source: u64,
}

impl std::fmt::Display for SyncTimes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "first read {:.2} s ({} build inputs, {} binaries, {} with source); unchanged {:.4} s",
            self.first.as_secs_f64(),
            self.groups,
            self.artifacts,
            self.with_source,
            self.unchanged.as_secs_f64()
        )
    }
}

/// Times a first and an unchanged read of `main` of `release` for amd64 and `all` at `source`
/// (a URL, a folder, or `apt`: then `release` may be empty). `folder` holds the cache: empty it for
/// a true first read.
///
/// # Errors
/// As the reader's; `Refused` when the index changed between the two reads.
pub async fn run(
    source: &str,
    release: &str,
    folder: &Path,
    clock: &dyn Clock,
) -> Result<SyncTimes, IndexError> {
    let settings = DebianSettings {
        profile: "bench".to_owned(),
        distribution: "debian".to_owned(),
        source: source.to_owned(),
        releases: match release {
            "" => Vec::new(),
            name => vec![Release { name: name.to_owned(), source: None, pin: None }],
        },
        components: vec!["main".to_owned()],
        architectures: vec!["amd64".to_owned(), "all".to_owned()],
        filter: Filter::default(),
        environment: Environment::Suite,
        keyring: None,
        check_signature: true,
        snapshots: Vec::new(),
        archives: Vec::new(),
        shrink_guard: 50,
        unreadable_guard: 50,
        check_valid_until: true,
        accept_suite: Vec::new(),
        packages_max: usize::MAX,
    };
    let fetcher = Fetcher::new(FetchLimits::default())
        .map_err(|error| IndexError::Fetch { url: source.to_owned(), reason: error.to_string() })?;
    let reader = DebianReader::new(settings, fetcher, folder, AptPaths::default());
    let (mut groups, mut artifacts, mut with_source) = (0, 0, 0);
    let start = clock.monotonic();
    let read = reader
        .read(None, clock.utc(), &mut |group| {
            groups += 1;
            artifacts += group.artifacts.len() as u64;
            with_source += u64::from(group.source_file.is_some());
        })
        .await?;
    let first = clock.monotonic().since(start);
    let changed =
        |reason: &str| IndexError::Refused { url: source.to_owned(), reason: reason.to_owned() };
    let IndexRead::Changed(state) = read else {
        return Err(changed("unchanged although nothing was known"));
    };
    let start = clock.monotonic();
    if reader.read(Some(&state), clock.utc(), &mut |_| {}).await? != IndexRead::Unchanged {
        return Err(changed("it changed while it was measured"));
    }
    let unchanged = clock.monotonic().since(start);
    Ok(SyncTimes { first, unchanged, groups, artifacts, with_source })
}
