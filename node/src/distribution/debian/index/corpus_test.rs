//! Real indexes, read here and by apt: `make test-corpus`.
//!
//! `.ci/corpus` has apt fetch the suites of this machine's mirror, and writes what apt says of each
//! package: one sorted line `name version architecture size sha256` in `SUITE.apt`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use debversion::Version;
use rebuilder_actors::port::{Clock as _, IndexReader as _};

use super::bare_test::Bare;
use super::{AptPaths, DebianReader, Release};
use crate::clock::SystemClock;
use crate::fetch::{FetchLimits, Fetcher};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-corpus"]
async fn real_indexes_are_read_as_apt_reads_them() {
    let folder = std::env::var_os("CORPUS").expect("CORPUS: what .ci/corpus made");
    let folder = Path::new(&folder);
    let mirror = std::env::var("CORPUS_MIRROR").expect("CORPUS_MIRROR: where apt fetched");
    let mut suites = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "apt") {
            suites += 1;
            check(&mirror, &path).await;
        }
    }
    assert!(suites >= 3, "{suites} suites");
}

async fn check(mirror: &str, list: &Path) {
    let suite = list.file_stem().unwrap().to_str().unwrap();
    let mut settings = Bare::new("").settings;
    settings.source = mirror.to_owned();
    settings.releases = vec![Release { name: suite.to_owned(), source: None, pin: None }];
    let components = std::fs::read_to_string(list.with_extension("components")).unwrap();
    settings.components = components.split_whitespace().map(str::to_owned).collect();
    settings.architectures = ["amd64", "i386", "all"].map(str::to_owned).to_vec();
    settings.check_signature = true;
    // An old mirror is as good for this.
    settings.check_valid_until = false;
    settings.packages_max = 10_000_000;
    let cache = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::new(FetchLimits::default()).unwrap();
    let reader = DebianReader::new(settings, fetcher, cache.path(), AptPaths::default());
    let mut ours = BTreeSet::new();
    let mut sink = |group: rebuilder_actors::port::Group| {
        for a in &group.artifacts {
            let size = a.size.map(|size| size.to_string()).unwrap_or_default();
            let sha256 = a.sha256.map(|digest| digest.to_string()).unwrap_or_default();
            ours.insert(format!("{} {} {} {size} {sha256}", a.name, a.version, a.architecture));
        }
    };
    reader.read(None, SystemClock::new().utc(), &mut sink).await.unwrap();
    let unread = reader.unread();
    assert_eq!(unread.stanzas, 0, "{suite}: {:?}", unread.notes);
    let text = std::fs::read_to_string(list).unwrap();
    let apt: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert!(apt.len() > 1000, "{suite}: {} lines", apt.len());
    let missing: Vec<_> = apt.difference(&ours).take(20).collect();
    assert!(missing.is_empty(), "{suite}: apt has, we have not: {missing:#?}");
    // apt names of each package only the version that it would install, and takes one for all
    // machines for another version of this machine's.
    let mut newest: BTreeMap<(&str, &str), Version> = BTreeMap::new();
    for (key, version) in apt.iter().filter_map(|line| key(line)) {
        let known = newest.entry(key).or_insert_with(|| version.clone());
        if *known < version {
            *known = version;
        }
    }
    let is_older = |line: &&String| {
        key(line).is_some_and(|(key, own)| newest.get(&key).is_some_and(|newest| own < *newest))
    };
    let (older, surplus): (Vec<_>, Vec<_>) = ours.difference(&apt).partition(is_older);
    assert!(
        surplus.is_empty(),
        "{suite}: we have, apt has not: {:#?}",
        &surplus[..surplus.len().min(20)]
    );
    {
        let (all, older) = (apt.len(), older.len());
        eprintln!("{suite}: {all} packages agree; {older} older versions besides");
    }
}

/// Name and architecture (this machine's for `all`), and version.
fn key(line: &str) -> Option<((&str, &str), Version)> {
    let mut words = line.split(' ');
    let (name, version, architecture) = (words.next()?, words.next()?, words.next()?);
    let architecture = if architecture == "all" { "amd64" } else { architecture };
    Some(((name, architecture), version.parse().ok()?))
}
