use std::collections::{BTreeMap, BTreeSet};

use rebuilder_actors::port::Progress;
use serde::Deserialize;

use super::archives::Suite;
use crate::backend::BuildError;
use crate::distribution::debian::format::Installed;
use crate::distribution::debian::format::names;
use crate::environment::say;
use crate::fetch::{FetchError, Fetcher};

/// A service with the interface of Debian's snapshot archive. It is asked when a package was first
/// seen; the package then comes through apt from the archive as it was at that moment, whose
/// Release file the distribution signed. Its unsigned files by digest are not used: whoever serves
/// them could decide what a build makes.
pub(super) struct Snapshot<'a> {
    pub(super) url: &'a str,
    pub(super) fetcher: &'a Fetcher,
    pub(super) suites: &'a [Suite],
}

impl Snapshot<'_> {
    /// Sources that have at least the latest of `missing`, and probably most of the others: what
    /// was installed together was once published together. Empty when the service knows none.
    pub(super) async fn sources_for(
        &self,
        missing: &[&Installed],
        progress: &dyn Progress,
    ) -> Result<Vec<Suite>, BuildError> {
        let mut latest: Option<Seen> = None;
        // One after the other: the service asks for patience.
        for package in missing.iter().take(ASKED_MAX) {
            for seen in self.seen(package).await? {
                if latest.as_ref().is_none_or(|latest| latest.stamp < seen.stamp) {
                    latest = Some(seen);
                }
            }
        }
        let Some(seen) = latest else { return Ok(Vec::new()) };
        let archive = format!("{}/archive/{}/{}", self.url, seen.archive, seen.stamp);
        let mut sources = Vec::new();
        let mut asked = BTreeSet::new();
        let unstable = Suite::new(&archive, "sid", &[]).expect("both are checked words");
        for suite in self.suites.iter().chain([&unstable]) {
            let past = suite.past(&archive, &seen.component);
            if !asked.insert(past.release_url()) {
                continue;
            }
            match self.fetcher.get(&past.release_url(), RELEASE_BYTES_MAX).await {
                Ok(_) => sources.push(past),
                Err(FetchError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let names: Vec<String> = sources.iter().map(Suite::name).collect();
        say(progress, format!("asks the archive of the past: {}", names.join(", ")));
        Ok(sources)
    }

    /// When and where the package was first seen; empty when it never was.
    async fn seen(&self, package: &Installed) -> Result<Vec<Seen>, BuildError> {
        let version = package.version.replace('+', "%2B");
        let url = format!("{}/mr/binary/{}/{version}/binfiles?fileinfo=1", self.url, package.name);
        let bytes = match self.fetcher.get(&url, ANSWER_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(FetchError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        Ok(parse(&bytes))
    }
}

/// A moment of one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    stamp: String,
    archive: String,
    component: String,
}

#[derive(Deserialize)]
struct Answer {
    fileinfo: BTreeMap<String, Vec<FileInfo>>,
}

#[derive(Deserialize)]
struct FileInfo {
    archive_name: String,
    first_seen: String,
    path: String,
}

/// Reads an answer; what is not as it should be is left out.
fn parse(bytes: &[u8]) -> Vec<Seen> {
    let Ok(answer) = serde_json::from_slice::<Answer>(bytes) else { return Vec::new() };
    let is_stamp = |text: &str| {
        text.len() == 16
            && text.bytes().enumerate().all(|(n, b)| match n {
                8 => b == b'T',
                15 => b == b'Z',
                _ => b.is_ascii_digit(),
            })
    };
    answer
        .fileinfo
        .into_values()
        .flatten()
        .take(FILES_MAX)
        .filter_map(|info| {
            let path = info.path.trim_start_matches('/');
            let component = path.strip_prefix("pool/")?.split('/').next()?;
            let is_plain = is_stamp(&info.first_seen)
                && names::package(&info.archive_name).is_ok()
                && names::suite(component).is_ok();
            is_plain.then(|| Seen {
                stamp: info.first_seen,
                archive: info.archive_name,
                component: component.to_owned(),
            })
        })
        .collect()
}

/// Packages asked for in one round; the next round asks for those that are still missing.
const ASKED_MAX: usize = 400;

/// Files of one package that are looked at: one for each architecture and archive.
const FILES_MAX: usize = 256;

const ANSWER_BYTES_MAX: u64 = 1 << 20;
const RELEASE_BYTES_MAX: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_hostile_ones_left_out() {
        let answer = r#"{"_api":"0.3","binary":"perl",
            "result":[{"architecture":"amd64","hash":"a"}],
            "fileinfo":{"a":[{"archive_name":"debian","first_seen":"20250101T030405Z",
            "name":"perl_1_amd64.deb","path":"/pool/main/p/perl","size":1}],
            "b":[{"archive_name":"../x","first_seen":"20250101T030405Z","path":"/pool/main/p"}],
            "c":[{"archive_name":"debian","first_seen":"2025/../../x0Z","path":"/pool/main/p"}],
            "d":[{"archive_name":"debian","first_seen":"20250101T030405Z",
            "path":"/pool/a b/p"}]}}"#;
        assert_eq!(
            parse(answer.as_bytes()),
            [Seen {
                stamp: "20250101T030405Z".to_owned(),
                archive: "debian".to_owned(),
                component: "main".to_owned(),
            }]
        );
        assert_eq!(parse(b"[]"), []);
    }
}
