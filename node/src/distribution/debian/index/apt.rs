//! apt's own configuration: which archives this machine uses, as apt would read them.

mod line;
mod method;
mod mirrors;
mod stanza;

use std::path::{Path, PathBuf};

pub use method::Place;
pub(super) use mirrors::mirrors_of;

/// One archive with its suites, as apt is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// Where it is.
    pub place: Place,
    /// Suites in order; one that ends with a slash is the folder of a flat repository.
    pub suites: Vec<String>,
    /// Components in order; empty for a flat repository.
    pub components: Vec<String>,
    /// `None`: what apt trusts for everything.
    pub signed_by: Option<SignedBy>,
    /// Architectures that apt takes from it; empty: all that this machine has.
    pub architectures: Vec<String>,
    /// `Trusted: yes`: signatures are not looked at.
    pub trusted: bool,
    /// `Check-Valid-Until: no` makes it false: an expired index is taken.
    pub check_valid_until: bool,
}

/// Who must have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// Keyrings, any key of which will do.
    Files(Vec<PathBuf>),
    /// An armoured key, written in the sources themselves.
    Key(String),
}

/// What apt's configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AptSources {
    /// What can be followed, in apt's order.
    pub sources: Vec<AptSource>,
    /// What cannot, for people: file, line or stanza, and why.
    pub notes: Vec<String>,
}

/// apt's configuration could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct AptError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub reason: String,
}

/// Reads `sources.list` and `sources.list.d` of `folder`, in apt's order. Only sources of binary
/// packages count, switched-off ones do not. An entry that cannot be followed is noted, and the
/// others hold.
///
/// # Errors
/// A file that cannot be read.
pub fn parse_folder(folder: &Path) -> Result<AptSources, AptError> {
    let mut paths = vec![folder.join("sources.list")];
    let parts = folder.join("sources.list.d");
    if parts.is_dir() {
        let failed =
            |error: std::io::Error| AptError { path: parts.clone(), reason: error.to_string() };
        for entry in std::fs::read_dir(&parts).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
    }
    paths[1..].sort();
    let mut all = AptSources::default();
    for path in paths {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let read: fn(&str) -> Vec<Entry> = match extension {
            Some("list") => line::entries,
            Some("sources") => stanza::entries,
            _ => continue,
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(AptError { path, reason: error.to_string() }),
        };
        // Comments and names of repositories may be in any encoding.
        for entry in read(&String::from_utf8_lossy(&bytes)) {
            match entry {
                Ok(source) => all.sources.push(source),
                Err(reason) => all.notes.push(format!("{}: {reason}", path.display())),
            }
        }
    }
    Ok(all)
}

/// An archive, or why it is not one that can be followed.
type Entry = Result<AptSource, String>;

/// Options of one entry, in either format. apt takes the names of options in any case.
#[derive(Clone, Debug, Default)]
struct Options {
    signed_by: Option<String>,
    architectures: Vec<String>,
    trusted: Option<bool>,
    check_valid_until: Option<bool>,
}

impl Options {
    fn source(
        &self,
        uri: &str,
        suites: Vec<String>,
        components: Vec<String>,
    ) -> Result<AptSource, String> {
        let signed_by = self.signed_by.as_deref().map(signed_by).transpose();
        Ok(AptSource {
            place: Place::of(uri)?,
            suites: suites.into_iter().map(whole_folder).collect(),
            components,
            signed_by: signed_by.map_err(|reason| format!("{uri}: {reason}"))?,
            architectures: self.architectures.clone(),
            trusted: self.trusted.unwrap_or(false),
            check_valid_until: self.check_valid_until.unwrap_or(true),
        })
    }
}

/// `/` and `./` are the same folder of a flat repository.
fn whole_folder(suite: String) -> String {
    if suite == "/" { "./".to_owned() } else { suite }
}

/// A value that switches something on or off, as apt reads it; `None`: it is neither.
fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "no" | "false" | "without" | "off" | "disable" | "0" => Some(false),
        "yes" | "true" | "with" | "on" | "enable" | "1" => Some(true),
        _ => None,
    }
}

fn signed_by(value: &str) -> Result<SignedBy, String> {
    if value.contains("-----BEGIN") {
        return Ok(SignedBy::Key(value.to_owned()));
    }
    let words = value.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
    let paths: Vec<_> = words.map(PathBuf::from).collect();
    if paths.is_empty() || !paths.iter().all(|path| path.is_absolute()) {
        return Err(format!(
            "Signed-By `{value}` names no keyring file: name one there, or set the profile's \
             `source` to this archive and its `keyring`"
        ));
    }
    Ok(SignedBy::Files(paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sources: &AptSources) -> Vec<String> {
        let shown = sources.sources.iter().map(|s| {
            format!("{} {} {}", s.place.shown(), s.suites.join(","), s.components.join(","))
        });
        shown.collect()
    }

    #[test]
    fn both_formats_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("sources.list.d");
        std::fs::create_dir(&parts).unwrap();
        std::fs::write(
            folder.path().join("sources.list"),
            b"# deb http://old.example.org x y \xe9\n\
             deb http://mirror.example.org/debian bookworm main contrib # and more\n\
             deb-src http://mirror.example.org/debian bookworm main\n\
             deb cdrom:[Debian GNU/Linux 12 _Bookworm_ - Official amd64]/ bookworm main\n\
             deb [ arch=amd64 signed-by=/k/a.gpg,/k/b.gpg ] http://b.example.org ./\n",
        )
        .unwrap();
        std::fs::write(
            parts.join("debian.sources"),
            "Types: deb deb-src\n# a comment\nURIs: http://c.example.org\n http://d.example.org\n\
             Suites: s s-updates\nComponents: main\nSigned-By: /k/c.gpg\n /k/d.gpg\n \n\
             Enabled: no\nTypes: deb\nURIs: http://e.example.org\nSuites: s\n\n\
             Types: deb-src\nURIs: http://f.example.org\nSuites: s",
        )
        .unwrap();
        std::fs::write(parts.join("ignored.bak"), "deb nonsense").unwrap();
        let sources = parse_folder(folder.path()).unwrap();
        assert_eq!(
            shown(&sources),
            [
                "http://mirror.example.org/debian bookworm main,contrib",
                "http://b.example.org ./ ",
                "http://c.example.org s,s-updates main",
                "http://d.example.org s,s-updates main",
            ]
        );
        let files = |paths: &[&str]| SignedBy::Files(paths.iter().map(PathBuf::from).collect());
        let sources_read = &sources.sources;
        assert_eq!(sources_read[0].signed_by, None);
        assert_eq!(sources_read[1].signed_by, Some(files(&["/k/a.gpg", "/k/b.gpg"])));
        assert_eq!(sources_read[1].architectures, ["amd64"]);
        assert_eq!(sources_read[3].signed_by, Some(files(&["/k/c.gpg", "/k/d.gpg"])));
        assert_eq!(sources.notes.len(), 1, "{:?}", sources.notes);
        assert!(sources.notes[0].contains("sources.list: line 4: cdrom:"), "{:?}", sources.notes);
    }

    #[test]
    fn switches_are_those_of_apt() {
        for off in ["no", "No", "false", "FALSE", "off", "0", "without", "Disable"] {
            assert_eq!(switch(off), Some(false), "{off}");
        }
        for on in ["yes", "Yes", "true", "on", "1", "with", "enable"] {
            assert_eq!(switch(on), Some(true), "{on}");
        }
        assert_eq!((switch(""), switch("maybe")), (None, None));
    }
}
