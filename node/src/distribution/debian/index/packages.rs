use std::io::Read;

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::Sha256;

use super::text::{Arena, Text};
use crate::distribution::debian::format::control::{Stanza, Stanzas, Unreadable, Value};
use crate::distribution::debian::format::names::{self, InvalidName};

/// The wanted binary packages of one `Packages` file.
#[derive(Debug, Default)]
pub(super) struct Binaries {
    pub(super) texts: Arena,
    pub(super) rows: Vec<Binary>,
    /// Stanzas in the file, wanted or not.
    pub(super) stanzas: u64,
    /// Those that cannot be read.
    pub(super) unread: Vec<Skipped>,
}

/// A stanza that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skipped {
    /// Name of its package; `None`: not even that can be read.
    pub(super) package: Option<String>,
    /// Line, package and reason.
    pub(super) error: Unreadable,
}

impl Skipped {
    pub(super) fn new(stanza: &Stanza<'_>, error: Unreadable) -> Self {
        let mut named = stanza.all().filter(|(name, _)| name.eq_ignore_ascii_case(b"Package"));
        let name = named.next().and_then(|(_, value)| value.text());
        let package = name.filter(|name| names::package(name).is_ok()).map(str::to_owned);
        Self { package, error }
    }
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
        let mut stanzas = Stanzas::new(input);
        while let Some(stanza) = next(&mut stanzas, url)? {
            binaries.stanzas += 1;
            if let Err(error) = binaries.add(&stanza, wanted) {
                binaries.unread.push(Skipped::new(&stanza, error));
            }
            // A filter may keep fewer, but all of them are in memory first.
            if binaries.rows.len() > wanted.packages_max {
                return Err(too_many(url, wanted.packages_max));
            }
        }
        Ok(binaries)
    }

    fn add(&mut self, stanza: &Stanza<'_>, wanted: &Wanted) -> Result<(), Unreadable> {
        if !stanza.is_whole() {
            return Err(stanza.fault("is longer than any"));
        }
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
        let Some(name) = stanza.text("Package", name)? else {
            return Err(stanza.fault("has no Package"));
        };
        let fault = |what: String| stanza.fault(format!("package {}: {what}", name.escape_debug()));
        let text = |field, value| stanza.text(field, value).map_err(|error| fault(error.what));
        let (Some(version), Some(architecture), Some(path)) = (
            text("Version", version)?,
            text("Architecture", architecture)?,
            text("Filename", path)?,
        ) else {
            return Err(fault("Version, Architecture or Filename is missing".to_owned()));
        };
        let Some(position) = wanted.architectures.iter().position(|known| known == architecture)
        else {
            return Ok(());
        };
        let invalid = |error: InvalidName| fault(error.to_string());
        names::package(name).map_err(invalid)?;
        names::version(version).map_err(invalid)?;
        let (source, source_version) =
            names::source(text("Source", source)?, name, version).map_err(invalid)?;
        let path = names::path(path).map_err(invalid)?;
        let size = text("Size", size)?.map(str::parse).transpose();
        let size = size.map_err(|_| fault("Size is no number".to_owned()))?;
        let sha256 = text("SHA256", sha256)?.map(str::parse).transpose();
        let sha256 = sha256.map_err(|_| fault("SHA256 is no digest".to_owned()))?;
        let full = || fault("too many packages".to_owned());
        let maintainer = maintainer.filter(|_| wanted.maintainers).map(Value::shown);
        let mut keep = |text| self.texts.push(text).ok_or_else(full);
        let kept = keep(version)?;
        let row = Binary {
            name: keep(name)?,
            version: kept,
            source: keep(source)?,
            // Most sources have the version of their packages.
            source_version: if source_version == version { kept } else { keep(source_version)? },
            path: keep(&path)?,
            maintainer: keep(&maintainer.unwrap_or_default())?,
            size,
            sha256,
            architecture: u8::try_from(position).map_err(|_| full())?,
        };
        self.rows.push(row);
        Ok(())
    }
}

/// The next stanza of an index.
pub(super) fn next<'a>(
    stanzas: &'a mut Stanzas<'_>,
    url: &str,
) -> Result<Option<Stanza<'a>>, IndexError> {
    let line = stanzas.line();
    let failed = |error: std::io::Error| IndexError::Content {
        url: url.to_owned(),
        reason: format!("line {line}: {error}"),
    };
    stanzas.next().map_err(failed)
}

/// The fault of an index whose only stanza cannot be used.
pub(super) fn unreadable(url: &str, error: &Unreadable) -> IndexError {
    IndexError::Content { url: url.to_owned(), reason: error.to_string() }
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
    fn a_bad_stanza_costs_itself_and_is_named() {
        let wanted = wanted(99);
        let ok = "Package: ok\nArchitecture: amd64\nVersion: 1\nFilename: pool/ok.deb\n\n";
        let read = |stanza: &[u8]| {
            let text =
                [ok.as_bytes(), stanza, b"\n\n", ok.replace("ok", "two").as_bytes()].concat();
            let read = Binaries::read(&mut &text[..], "u", &wanted).unwrap();
            assert_eq!(read.rows.len() as u64 + read.unread.len() as u64, read.stanzas);
            assert_eq!(read.texts.get(read.rows.last().unwrap().name), "two");
            read.unread.first().map(|one| (one.package.clone(), one.error.to_string()))
        };
        let stanza = |path: &str, rest: &str| {
            format!("Package: p\nArchitecture: amd64\nVersion: 1\nFilename: {path}\n{rest}")
        };
        assert_eq!(read(stanza("pool/p.deb", "").as_bytes()), None);
        for path in ["../p", "pool/", "pool/\u{7}p", "a/../b", &"x".repeat(2000)] {
            let (package, error) = read(stanza(path, "").as_bytes()).unwrap();
            assert_eq!(package.as_deref(), Some("p"));
            assert!(error.starts_with("stanza at line 6: package p: path"), "{error}");
        }
        let odd = ["Size: -1", "SHA256: abc", "Source: a/b", "Source: a (1 ; rm)", "Version: 2"];
        for rest in odd {
            let (package, error) = read(stanza("pool/p.deb", rest).as_bytes()).unwrap();
            assert_eq!(package.as_deref(), Some("p"), "{error}");
            assert!(error.starts_with("stanza at line 6: "), "{error}");
        }
        for (text, package) in [
            (&b"Version: 1\n"[..], None),
            (b"Package: p\n", Some("p")),
            (b"Package: ../p\nVersion: 1\nArchitecture: amd64\nFilename: x\n", None),
            (b"Package: p\xff\nVersion: 1\nArchitecture: amd64\nFilename: x\n", None),
            (b"Package: p\nVersion: 1.0_rc1\nArchitecture: amd64\nFilename: x\n", Some("p")),
            (b"Package: p\nVersion: 1\nArchitecture: amd64\nFilename: \xe9\n", Some("p")),
            (b"<html>not a stanza</html>", None),
        ] {
            let found = read(text).unwrap();
            assert_eq!(found.0.as_deref(), package, "{found:?}");
        }
    }
}
