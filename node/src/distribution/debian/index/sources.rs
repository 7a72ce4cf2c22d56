use std::io::Read;

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::Sha256;

use super::packages::{Skipped, Wanted, next, too_many};
use super::text::{Arena, Text};
use crate::distribution::debian::format::checksum;
use crate::distribution::debian::format::control::{Stanza, Stanzas, Unreadable, Value};
use crate::distribution::debian::format::names::{self, InvalidName};

/// The source packages of one `Sources` file.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) texts: Arena,
    /// Sorted by name and version.
    rows: Vec<Source>,
    pub(super) stanzas: u64,
    /// Those that cannot be read.
    pub(super) unread: Vec<Skipped>,
}

/// One source package.
#[derive(Debug)]
pub(super) struct Source {
    name: Text,
    version: Text,
    /// `Maintainer` and `Uploaders`, a line each; empty when nobody asked.
    pub(super) maintainers: Text,
    /// `None` when the index names no `.dsc` with a SHA-256.
    pub(super) dsc: Option<Dsc>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Dsc {
    /// Path below the archive's base.
    pub(super) path: Text,
    pub(super) size: u64,
    pub(super) sha256: Sha256,
}

impl Sources {
    pub(super) fn read(
        input: &mut dyn Read,
        url: &str,
        wanted: &Wanted,
    ) -> Result<Self, IndexError> {
        let mut sources = Self::default();
        let mut stanzas = Stanzas::new(input);
        while let Some(stanza) = next(&mut stanzas, url)? {
            sources.stanzas += 1;
            if let Err(error) = sources.add(&stanza, wanted.maintainers) {
                sources.unread.push(Skipped::new(&stanza, error));
            }
            if sources.rows.len() > wanted.packages_max {
                return Err(too_many(url, wanted.packages_max));
            }
        }
        let Self { texts, rows, .. } = &mut sources;
        rows.sort_by_key(|row| (texts.get(row.name), texts.get(row.version)));
        Ok(sources)
    }

    pub(super) fn find(&self, name: &str, version: &str) -> Option<&Source> {
        let key = |row: &Source| (self.texts.get(row.name), self.texts.get(row.version));
        let at = self.rows.binary_search_by(|row| key(row).cmp(&(name, version))).ok()?;
        Some(&self.rows[at])
    }

    fn add(&mut self, stanza: &Stanza<'_>, with_maintainers: bool) -> Result<(), Unreadable> {
        if !stanza.is_whole() {
            return Err(stanza.fault("is longer than any"));
        }
        let [name, version, directory, checksums, maintainer, uploaders] = stanza.fields([
            "Package",
            "Version",
            "Directory",
            "Checksums-Sha256",
            "Maintainer",
            "Uploaders",
        ])?;
        let (Some(name), Some(version)) =
            (stanza.text("Package", name)?, stanza.text("Version", version)?)
        else {
            return Err(stanza.fault("has no Package or no Version"));
        };
        let fault =
            |what: String| stanza.fault(format!("source package {}: {what}", name.escape_debug()));
        let text = |field, value| stanza.text(field, value).map_err(|error| fault(error.what));
        let invalid = |error: InvalidName| fault(error.to_string());
        names::package(name).map_err(invalid)?;
        names::version(version).map_err(invalid)?;
        let full = || fault("too many sources".to_owned());
        let directory = text("Directory", directory)?.unwrap_or(".");
        let checksums = text("Checksums-Sha256", checksums)?.unwrap_or_default();
        let dsc = checksums.lines().find(|line| line.trim_end().ends_with(".dsc"));
        let dsc = match dsc {
            None => None,
            Some(line) => {
                let broken = || fault("Checksums-Sha256 is broken".to_owned());
                let (sha256, size, file) = checksum(line).ok_or_else(broken)?;
                let file = names::file(file).map_err(invalid)?;
                let path = format!("{directory}/{file}");
                let path = names::path(&path).map_err(invalid)?;
                Some(Dsc { path: self.texts.push(&path).ok_or_else(full)?, size, sha256 })
            }
        };
        let mut all = String::new();
        if with_maintainers {
            for list in [maintainer, uploaders].into_iter().flatten().map(Value::shown) {
                for person in people(&list) {
                    all.extend([person, "\n"]);
                }
            }
        }
        let row = Source {
            name: self.texts.push(name).ok_or_else(full)?,
            version: self.texts.push(version).ok_or_else(full)?,
            maintainers: self.texts.push(&all).ok_or_else(full)?,
            dsc,
        };
        self.rows.push(row);
        Ok(())
    }
}

/// The persons of a list: a comma after an address ends one, a comma in a name does not.
pub(super) fn people(list: &str) -> impl Iterator<Item = &str> {
    let trim = |person: &'_ str| -> usize { person.len() - person.trim_start().len() };
    let mut rest = list;
    core::iter::from_fn(move || {
        rest = rest.trim_start_matches([',', ' ', '\t', '\n']);
        if rest.is_empty() {
            return None;
        }
        let end = rest.find('>').map_or(rest.len(), |at| at + 1);
        let person = &rest[..end];
        rest = &rest[end..];
        Some(person[trim(person)..].trim_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(maintainers: bool) -> Wanted {
        Wanted { architectures: Vec::new(), maintainers, packages_max: 10 }
    }

    #[test]
    fn persons_are_told_apart() {
        let list = "Jo Doe <jo@example.org>, Ann Powell, IV <ann@example.org>,\n \
                    X <x@example.org>,";
        let found: Vec<_> = people(list).collect();
        assert_eq!(
            found,
            ["Jo Doe <jo@example.org>", "Ann Powell, IV <ann@example.org>", "X <x@example.org>"]
        );
        assert_eq!(people("nobody").collect::<Vec<_>>(), ["nobody"]);
    }

    #[test]
    fn sources_are_found_by_name_and_version() {
        let sha = Sha256::of(b"x");
        let text = format!(
            "Package: b\nVersion: 2\nDirectory: pool/b\nMaintainer: M <m@x>\n\
             Uploaders: U <u@x>, V <v@x>\nChecksums-Sha256:\n {sha} 1 b.tar.xz\n \
             {sha} 9 b_2.dsc\n\n\
             Package: b\nVersion: 1\nDirectory: pool/b\n\nPackage: a\nVersion: 1\nDirectory: ."
        );
        let sources = Sources::read(&mut text.as_bytes(), "u", &wanted(true)).unwrap();
        assert_eq!(sources.stanzas, 3);
        let found = sources.find("b", "2").unwrap();
        let dsc = found.dsc.unwrap();
        assert_eq!(sources.texts.get(dsc.path), "pool/b/b_2.dsc");
        assert_eq!((dsc.size, dsc.sha256), (9, sha));
        assert_eq!(sources.texts.get(found.maintainers), "M <m@x>\nU <u@x>\nV <v@x>\n");
        assert!(sources.find("b", "1").unwrap().dsc.is_none());
        assert!(sources.find("a", "1").is_some() && sources.find("a", "2").is_none());
    }

    #[test]
    fn a_hostile_path_costs_its_stanza() {
        let sha = Sha256::of(b"x");
        let text = format!(
            "Package: b\nVersion: 2\nDirectory: ../..\nChecksums-Sha256:\n {sha} 9 b_2.dsc\n\n\
             Package: c\nVersion: 2\nDirectory: ./pool\nChecksums-Sha256:\n {sha} 9 c_2.dsc\n"
        );
        let read = Sources::read(&mut text.as_bytes(), "u", &wanted(false)).unwrap();
        let [skipped] = &read.unread[..] else { panic!("{:?}", read.unread) };
        assert_eq!(skipped.package.as_deref(), Some("b"));
        let error = skipped.error.to_string();
        assert!(error.contains("source package b: path \"../../b_2.dsc\""), "{error}");
        assert!(read.find("b", "2").is_none());
        let dsc = read.find("c", "2").unwrap().dsc.unwrap();
        assert_eq!(read.texts.get(dsc.path), "pool/c_2.dsc");
    }
}
