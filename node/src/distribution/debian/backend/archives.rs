use std::fmt::Write as _;

use rebuilder_actors::protocol::{Archive, FaultKind, Sha256};

use crate::backend::BuildError;
use crate::distribution::debian::format::names;

/// The archives of an assignment, checked, apart by what is done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archives {
    /// Suites with a `dists` tree: the base root is made of these. At least one.
    pub(super) suites: Vec<Suite>,
    /// Flat repositories: asked besides, never in the base root.
    pub(super) flat: Vec<Suite>,
    /// Base URLs of snapshot services, without a slash at the end.
    pub(super) snapshots: Vec<String>,
}

/// One line of apt's sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    url: String,
    suite: String,
    components: Vec<String>,
    is_past: bool,
}

impl Archives {
    /// Checks every word; with no suite there is nothing to make a base root of.
    pub(super) fn of(archives: &[Archive]) -> Result<Self, BuildError> {
        let refused = |error: names::InvalidName| {
            BuildError::fault(FaultKind::InputsUnavailable, format!("archive not usable: {error}"))
        };
        let mut all = Self { suites: Vec::new(), flat: Vec::new(), snapshots: Vec::new() };
        for archive in archives.iter().take(ARCHIVES_MAX) {
            match archive {
                Archive::Snapshot { url } => {
                    let url = names::archive_url(url).map_err(refused)?;
                    all.snapshots.push(url.trim_end_matches('/').to_owned());
                }
                Archive::Suite { url, suite, components } => {
                    let suite = Suite::new(url, suite, components).map_err(refused)?;
                    if suite.suite.ends_with('/') {
                        all.flat.push(suite);
                    } else {
                        all.suites.push(suite);
                    }
                }
            }
        }
        if all.suites.is_empty() {
            let detail = "no suite is configured from which a base root could be made: a flat \
                          repository has no base system, name a suite in the profile's `archives`";
            return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
        }
        Ok(all)
    }

    /// Below which URLs all that they have is.
    pub(super) fn urls(&self) -> Vec<String> {
        let suites = self.suites.iter().chain(&self.flat).map(|suite| suite.url.clone());
        suites.chain(self.snapshots.iter().cloned()).collect()
    }

    /// The sources of a base root.
    pub(super) fn base_lines(&self, keyring: &str) -> String {
        self.suites.iter().map(|suite| suite.line(keyring)).collect()
    }
}

impl Suite {
    /// Checks every word.
    pub(super) fn new(
        url: &str,
        suite: &str,
        components: &[Box<str>],
    ) -> Result<Self, names::InvalidName> {
        // apt's lists are words with blanks between them: a path becomes a URL first.
        let url = if url.starts_with('/') { file_url(url) } else { url.to_owned() };
        Ok(Self {
            url: names::archive_url(&url)?.trim_end_matches('/').to_owned(),
            suite: names::suite(suite)?.to_owned(),
            components: components
                .iter()
                .map(|component| names::suite(component).map(str::to_owned))
                .collect::<Result<_, _>>()?,
            is_past: false,
        })
    }

    /// The same as it was at `stamp`, from a snapshot service: its Release file may have expired.
    pub(super) fn past(&self, archive_url: &str, component: &str) -> Self {
        Self {
            url: archive_url.to_owned(),
            suite: self.suite.clone(),
            components: vec![component.to_owned()],
            is_past: true,
        }
    }

    /// Its name, for logs.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.url, self.suite)
    }

    /// The local folder that apt reads, if it is one.
    pub(super) fn local(&self) -> Option<std::path::PathBuf> {
        crate::fetch::local_path(&self.url)
    }

    /// Where its signed index of indexes is.
    pub(super) fn release_url(&self) -> String {
        if self.suite.ends_with('/') {
            format!("{}/{}InRelease", self.url, self.suite)
        } else {
            format!("{}/dists/{}/InRelease", self.url, self.suite)
        }
    }

    /// The line for a sources file, with its line feed. Only what `keyring` signs is accepted.
    pub(super) fn line(&self, keyring: &str) -> String {
        let past = if self.is_past { " check-valid-until=no" } else { "" };
        // apt unpacks `file:` repositories in place, as a user of the sandbox who may not.
        let url = match self.url.strip_prefix("file:") {
            Some(path) => format!("copy:{path}"),
            None => self.url.clone(),
        };
        let suite = &self.suite;
        let components = self.components.join(" ");
        format!("deb [signed-by={keyring}{past}] {url} {suite} {components}\n")
    }
}

/// The `file:` URL of an absolute path, of whatever bytes.
fn file_url(path: &str) -> String {
    let mut url = "file:".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~+".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Short name of a base root: everything that decides what is in it.
pub(super) fn base_key(
    architecture: &str,
    lines: &str,
    include: &[String],
    keyring: &[u8],
) -> String {
    let parts = format!(
        "{LAYOUT}\0{architecture}\0{lines}\0{}\0{}",
        include.join(","),
        Sha256::of(keyring)
    );
    let digest = Sha256::of(parts.as_bytes()).to_string();
    format!("{architecture}-{}", &digest[..16])
}

/// Grows with every change of what a base root is made to contain, or of how. Those before 3 were
/// made with the host's rights.
const LAYOUT: u32 = 3;

/// Most archives of one assignment that are looked at.
const ARCHIVES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(url: &str, suite: &str, components: &[&str]) -> Archive {
        Archive::Suite {
            url: url.into(),
            suite: suite.into(),
            components: components.iter().map(|&component| component.into()).collect(),
        }
    }

    #[test]
    fn lines_are_made_for_apt() {
        let all = Archives::of(&[
            suite("http://mirror.example.org/debian/", "bookworm", &["main"]),
            suite("file:/srv/pool", "./", &[]),
            Archive::Snapshot { url: "http://snapshot.example.org/".into() },
        ])
        .unwrap();
        assert_eq!(
            all.base_lines("/k.gpg"),
            "deb [signed-by=/k.gpg] http://mirror.example.org/debian bookworm main\n"
        );
        assert_eq!(all.flat[0].line("/k.gpg"), "deb [signed-by=/k.gpg] copy:/srv/pool ./ \n");
        assert_eq!(all.flat[0].release_url(), "file:/srv/pool/./InRelease");
        assert_eq!(all.snapshots, ["http://snapshot.example.org"]);
    }

    #[test]
    fn paths_of_any_characters_are_one_word_for_apt() {
        for path in
            ["/srv/a b", "/srv/[x] 'q\"", "/srv/\u{e9}\n%20", "/srv/a?b#c\\d:e,f", "/srv/x/"]
        {
            let all = Archives::of(&[suite(path, "bookworm", &["main"])]).unwrap();
            let line = all.suites[0].line("/k.gpg");
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            assert_eq!(words.len(), 5, "{line}");
            assert!(words[2].starts_with("copy:/srv/") && line.is_ascii(), "{line}");
            let local = all.suites[0].local().unwrap();
            assert_eq!(local, std::path::Path::new(path.trim_end_matches('/')));
            // The same in another form.
            assert!(all.suites[0].release_url().starts_with("file:/srv/"));
        }
    }

    #[test]
    fn options_cannot_be_smuggled_in() {
        for archive in [
            suite("http://m.example.org/ [trusted=yes]", "bookworm", &[]),
            suite("http://m.example.org", "bookworm main\ndeb", &[]),
            suite("http://m.example.org", "bookworm", &["main [x]"]),
            suite("http://m.example.org", "../x", &[]),
        ] {
            assert!(Archives::of(&[archive]).is_err());
        }
        assert!(Archives::of(&[]).is_err());
    }
}
