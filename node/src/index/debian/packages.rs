use std::io::Read;

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::Sha256;

use super::text::{Arena, Text, is_name, is_version, path_fault};
use crate::distribution::debian::format::stanza::{self, Stanza};

/// The wanted binary packages of one `Packages` file.
#[derive(Debug, Default)]
pub(super) struct Binaries {
    pub(super) texts: Arena,
    pub(super) rows: Vec<Binary>,
    /// Stanzas in the file, wanted or not.
    pub(super) stanzas: u64,
}

/// One binary package.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) name: Text,
    pub(super) version: Text,
    pub(super) source: Text,
    pub(super) source_version: Text,
    /// Path below the archive's base.
    pub(super) path: Text,
    /// Empty when nobody asked.
    pub(super) maintainer: Text,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<Sha256>,
    /// Position in the profile's architectures.
    pub(super) architecture: u8,
}

/// What of a `Packages` file is kept.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) architectures: Vec<String>,
    pub(super) maintainers: bool,
    /// Packages that may be kept.
    pub(super) packages_max: usize,
}

/// The fault of an index with more packages than a profile may follow.
pub(super) fn too_many(url: &str, packages_max: usize) -> IndexError {
    let reason = format!(
        "more than {packages_max} packages: if all of them are to be followed, raise \
         `packages_max` of the profile"
    );
    IndexError::Refused { url: url.to_owned(), reason }
}

impl Binaries {
    pub(super) fn read(
        input: &mut dyn Read,
        url: &str,
        wanted: &Wanted,
    ) -> Result<Self, IndexError> {
        let mut binaries = Self::default();
        stanza::for_each(input, url, &mut |stanza| {
            binaries.add(stanza, wanted)?;
            // A filter may keep fewer, but all of them are in memory first.
            let room = binaries.rows.len() <= wanted.packages_max;
            if room { Ok(()) } else { Err(too_many(url, wanted.packages_max)) }
        })?;
        Ok(binaries)
    }

    fn add(&mut self, stanza: &Stanza<'_>, wanted: &Wanted) -> Result<(), IndexError> {
        self.stanzas += 1;
        let [name, version, architecture, source, path, size, sha256, maintainer] =
            stanza.fields([
                "Package",
                "Version",
                "Architecture",
                "Source",
                "Filename",
                "Size",
                "SHA256",
                "Maintainer",
            ])?;
        let Some(name) = name else { return Err(stanza.fault("has no Package")) };
        let fault = |what: &str| stanza.fault(&format!("package {}: {what}", name.escape_debug()));
        let (Some(version), Some(architecture), Some(path)) = (version, architecture, path) else {
            return Err(fault("Version, Architecture or Filename is missing"));
        };
        let Some(position) = wanted.architectures.iter().position(|known| known == architecture)
        else {
            return Ok(());
        };
        let (source, source_version) = split_source(source, name, version);
        if !is_name(name) || !is_name(source) {
            return Err(fault("not a package name"));
        }
        if !is_version(version) || !is_version(source_version) {
            return Err(fault("not a version"));
        }
        if let Some(what) = path_fault(path) {
            return Err(fault(&format!("Filename `{}` {what}", path.escape_debug())));
        }
        let size = size.map(str::parse).transpose().map_err(|_| fault("Size is no number"))?;
        let sha256 = sha256.map(str::parse).transpose();
        let sha256 = sha256.map_err(|_| fault("SHA256 is no digest"))?;
        let full = || fault("too many packages");
        let maintainer = maintainer.filter(|_| wanted.maintainers).unwrap_or_default();
        let mut keep = |text| self.texts.push(text).ok_or_else(full);
        let kept = keep(version)?;
        let row = Binary {
            name: keep(name)?,
            version: kept,
            source: keep(source)?,
            // Most sources have the version of their packages.
            source_version: if source_version == version { kept } else { keep(source_version)? },
            path: keep(path)?,
            maintainer: keep(maintainer)?,
            size,
            sha256,
            architecture: u8::try_from(position).map_err(|_| fault("too many architectures"))?,
        };
        self.rows.push(row);
        Ok(())
    }
}

/// `Source: name`, `Source: name (version)`, or none: then the package is its own source.
fn split_source<'a>(
    source: Option<&'a str>,
    name: &'a str,
    version: &'a str,
) -> (&'a str, &'a str) {
    match source.map(|source| source.split_once('(')) {
        None => (name, version),
        Some(None) => (source.unwrap_or(name), version),
        Some(Some((source, rest))) => (source.trim_end(), rest.trim_end_matches(')').trim()),
    }
}

/// The binNMU suffix `+bN` that a binary's version has and its source's has not; else empty.
pub(super) fn nmu_suffix<'a>(version: &'a str, source_version: &str) -> &'a str {
    let suffix = suffix_of(version);
    if suffix == suffix_of(source_version) { "" } else { suffix }
}

fn suffix_of(version: &str) -> &str {
    match version.rfind("+b") {
        Some(at) => {
            let digits = &version[at + 2..];
            let is_count = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_count { &version[at..] } else { "" }
        }
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(packages_max: usize) -> Wanted {
        Wanted { architectures: vec!["amd64".to_owned()], maintainers: false, packages_max }
    }

    #[test]
    fn an_index_with_more_packages_than_allowed_is_refused() {
        let stanza = |n: usize, architecture: &str| {
            format!(
                "Package: p{n}\nVersion: 1\nArchitecture: {architecture}\nFilename: p/p{n}.deb\n\n"
            )
        };
        let text: String = (0..5).map(|n| stanza(n, "amd64")).collect();
        let read = |text: &str, max| Binaries::read(&mut text.as_bytes(), "u", &wanted(max));
        assert_eq!(read(&text, 5).unwrap().rows.len(), 5);
        let error = read(&text, 4).unwrap_err();
        assert!(matches!(error, IndexError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("raise `packages_max`"), "{error}");
        // Packages of other architectures are not followed, and cost nothing.
        let others: String = (5..99).map(|n| stanza(n, "riscv64")).collect();
        assert_eq!(read(&(text + &others), 5).unwrap().stanzas, 99);
    }

    #[test]
    fn sources_are_named_in_three_ways() {
        assert_eq!(split_source(None, "a", "1"), ("a", "1"));
        assert_eq!(split_source(Some("b"), "a", "1"), ("b", "1"));
        assert_eq!(split_source(Some("b (2:3)"), "a", "1"), ("b", "2:3"));
    }

    #[test]
    fn rebuilds_without_a_source_change_are_told() {
        for (version, source, suffix) in [
            ("1.0-1+b2", "1.0-1", "+b2"),
            ("4:12.2.0-3+b1", "1.203", "+b1"),
            ("1.0-1", "1.0-1", ""),
            ("1.0+b1", "1.0+b1", ""),
            ("1.0+b1+b2", "1.0+b1", "+b2"),
            ("1.0+beta", "1.0", ""),
            ("1.0+b", "1.0", ""),
            ("1.0+b1~x", "1.0", ""),
        ] {
            assert_eq!(nmu_suffix(version, source), suffix, "{version} of {source}");
        }
    }

    #[test]
    fn a_hostile_stanza_is_refused_with_line_and_package() {
        let wanted = wanted(9);
        let read = |path: &str, rest: &str| {
            let text = format!(
                "Package: ok\nArchitecture: amd64\nVersion: 1\nFilename: pool/ok.deb\n\n\
                 Package: p\nArchitecture: amd64\nVersion: 1\nFilename: {path}\n{rest}"
            );
            Binaries::read(&mut text.as_bytes(), "u", &wanted).map(|read| read.rows.len())
        };
        assert_eq!(read("pool/p.deb", ""), Ok(2));
        for path in ["../p", "/etc/p", "pool/\u{7}p", "a//b", &"x".repeat(2000)] {
            let error = read(path, "").unwrap_err().to_string();
            assert!(error.starts_with("u: stanza at line 6: package p: Filename"), "{error}");
        }
        for rest in ["Size: -1\n", "SHA256: abc\n", "Source: a/b\n", "Source: a (1 ; rm)\n"] {
            let error = read("pool/p.deb", rest).unwrap_err().to_string();
            assert!(error.starts_with("u: stanza at line 6: package p: "), "{error}");
        }
        assert!(Binaries::read(&mut &b"Version: 1\n"[..], "u", &wanted).is_err());
    }
}
