use std::io::Read;

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::Sha256;

use super::packages::{Wanted, too_many};
use super::text::{Arena, Text, path_fault};
use crate::distribution::debian::format::stanza::{self, Stanza};

/// The source packages of one `Sources` file.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) texts: Arena,
    /// Sorted by name and version.
    rows: Vec<Source>,
    pub(super) stanzas: u64,
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
        stanza::for_each(input, url, &mut |stanza| {
            sources.add(stanza, wanted.maintainers)?;
            let room = sources.rows.len() <= wanted.packages_max;
            if room { Ok(()) } else { Err(too_many(url, wanted.packages_max)) }
        })?;
        let Self { texts, rows, .. } = &mut sources;
        rows.sort_by_key(|row| (texts.get(row.name), texts.get(row.version)));
        Ok(sources)
    }

    pub(super) fn find(&self, name: &str, version: &str) -> Option<&Source> {
        let key = |row: &Source| (self.texts.get(row.name), self.texts.get(row.version));
        let at = self.rows.binary_search_by(|row| key(row).cmp(&(name, version))).ok()?;
        Some(&self.rows[at])
    }

    fn add(&mut self, stanza: &Stanza<'_>, with_maintainers: bool) -> Result<(), IndexError> {
        self.stanzas += 1;
        let [name, version, directory, checksums, maintainer, uploaders] = stanza.fields([
            "Package",
            "Version",
            "Directory",
            "Checksums-Sha256",
            "Maintainer",
            "Uploaders",
        ])?;
        let (Some(name), Some(version)) = (name, version) else {
            return Err(stanza.fault("has no Package or no Version"));
        };
        let fault =
            |what: &str| stanza.fault(&format!("source package {}: {what}", name.escape_debug()));
        let full = || fault("too many sources");
        let dsc = checksums.unwrap_or_default().lines().find(|line| line.ends_with(".dsc"));
        let dsc = match dsc {
            None => None,
            Some(line) => {
                let mut words = line.split_whitespace();
                let (Some(sha256), Some(size), Some(file)) =
                    (words.next(), words.next(), words.next())
                else {
                    return Err(fault("Checksums-Sha256 is broken"));
                };
                let path = match directory {
                    Some("." | "") | None => file.to_owned(),
                    Some(directory) => format!("{directory}/{file}"),
                };
                if let Some(what) = path_fault(&path) {
                    return Err(fault(&format!("path `{}` {what}", path.escape_debug())));
                }
                let (Ok(sha256), Ok(size)) = (sha256.parse(), size.parse()) else {
                    return Err(fault("Checksums-Sha256 is broken"));
                };
                Some(Dsc { path: self.texts.push(&path).ok_or_else(full)?, size, sha256 })
            }
        };
        let mut all = String::new();
        if with_maintainers {
            let lists = [maintainer, uploaders].into_iter().flatten();
            for person in lists.flat_map(people) {
                all.extend([person, "\n"]);
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
    fn a_hostile_path_is_refused() {
        let sha = Sha256::of(b"x");
        let text = format!(
            "Package: b\nVersion: 2\nDirectory: ../..\nChecksums-Sha256:\n {sha} 9 b_2.dsc\n"
        );
        let error =
            Sources::read(&mut text.as_bytes(), "u", &wanted(false)).unwrap_err().to_string();
        assert!(error.contains("source package b: path `../../b_2.dsc`"), "{error}");
    }
}
