use std::path::{Path, PathBuf};

use crate::distribution::debian::format::control::{Stanza, Stanzas, Unreadable};

/// One archive with its suites, as apt is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// Base URL.
    pub url: String,
    /// Suites in order.
    pub suites: Vec<String>,
    /// Components in order; empty for a flat repository.
    pub components: Vec<String>,
    /// `None`: what apt trusts for everything.
    pub signed_by: Option<SignedBy>,
    /// False: it is followed though it expired.
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

/// apt's configuration could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct AptError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, with line where there is one.
    pub reason: String,
}

/// Reads `sources.list` and `sources.list.d` of `folder`, in apt's order. Only sources of binary
/// packages count, switched-off ones do not.
///
/// # Errors
/// A file that cannot be read or understood.
pub fn parse_folder(folder: &Path) -> Result<Vec<AptSource>, AptError> {
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
    let mut sources = Vec::new();
    for path in paths {
        let failed = |reason| AptError { path: path.clone(), reason };
        let extension = path.extension().and_then(|extension| extension.to_str());
        let read: fn(&str) -> Result<Vec<AptSource>, String> = match extension {
            Some("list") => parse_list,
            Some("sources") => parse_sources,
            _ => continue,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => sources.extend(read(&text).map_err(failed)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    Ok(sources)
}

/// One line each: `deb [ signed-by=… ] URL SUITE COMPONENT…`.
fn parse_list(text: &str) -> Result<Vec<AptSource>, String> {
    let mut sources = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))
        else {
            continue;
        };
        let bad = || format!("line {}: not `deb [options] URL SUITE COMPONENT…`", n + 1);
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').ok_or_else(bad)?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        let (Some(url), Some(suite)) = (words.next(), words.next()) else { return Err(bad()) };
        let signed_by = options
            .split_whitespace()
            .filter_map(|option| option.split_once('='))
            .find(|(key, _)| key.eq_ignore_ascii_case("signed-by"))
            .map(|(_, value)| signed_by(value))
            .transpose()?;
        let check_valid_until = !options
            .split_whitespace()
            .filter_map(|option| option.split_once('='))
            .any(|(key, value)| key.eq_ignore_ascii_case("check-valid-until") && is_off(value));
        sources.push(AptSource {
            url,
            suites: vec![suite],
            components: words.collect(),
            signed_by,
            check_valid_until,
        });
    }
    Ok(sources)
}

/// deb822 stanzas with `Types`, `URIs`, `Suites`, `Components`, `Signed-By`, `Enabled`.
fn parse_sources(text: &str) -> Result<Vec<AptSource>, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    // A line of blanks ends a stanza here, as in apt.
    let plain: String = lines.flat_map(|line| [line.trim_end(), "\n"]).collect();
    let mut sources = Vec::new();
    let mut input = plain.as_bytes();
    let mut stanzas = Stanzas::new(&mut input);
    while let Some(stanza) = stanzas.next().map_err(|error| error.to_string())? {
        sources.extend(parse_stanza(&stanza).map_err(|error| error.to_string())?);
    }
    Ok(sources)
}

fn parse_stanza(stanza: &Stanza<'_>) -> Result<Vec<AptSource>, Unreadable> {
    let names =
        ["Types", "URIs", "Suites", "Components", "Signed-By", "Enabled", "Check-Valid-Until"];
    let mut values = [None; 7];
    for (n, value) in stanza.fields(names)?.into_iter().enumerate() {
        values[n] = stanza.text(names[n], value)?;
    }
    let [types, uris, suites, components, signer, enabled, until] = values;
    let off = enabled.is_some_and(is_off);
    let words = |text: Option<&str>| -> Vec<String> {
        text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    if off || !words(types).iter().any(|word| word == "deb") {
        return Ok(Vec::new());
    }
    let (uris, suites) = (words(uris), words(suites));
    if uris.is_empty() || suites.is_empty() {
        return Err(stanza.fault("URIs or Suites is missing"));
    }
    let signed_by = signer.map(signed_by).transpose().map_err(|reason| stanza.fault(reason))?;
    let source = |url| AptSource {
        url,
        suites: suites.clone(),
        components: words(components),
        signed_by: signed_by.clone(),
        check_valid_until: !until.is_some_and(is_off),
    };
    Ok(uris.into_iter().map(source).collect())
}

/// apt's words for no.
fn is_off(value: &str) -> bool {
    ["no", "false", "0", "off", "without", "disable"]
        .iter()
        .any(|no| value.eq_ignore_ascii_case(no))
}

fn signed_by(value: &str) -> Result<SignedBy, String> {
    if value.contains("-----BEGIN") {
        return Ok(SignedBy::Key(value.to_owned()));
    }
    let words = value.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
    let paths: Vec<_> = words.map(PathBuf::from).collect();
    if paths.is_empty() || !paths.iter().all(|path| path.is_absolute()) {
        return Err(format!(
            "Signed-By `{value}` names no keyring file: set the profile's `keyring`"
        ));
    }
    Ok(SignedBy::Files(paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("sources.list.d");
        std::fs::create_dir(&parts).unwrap();
        std::fs::write(
            folder.path().join("sources.list"),
            "# deb http://old.example.org x y\n\
             deb http://mirror.example.org/debian bookworm main contrib # and more\n\
             deb-src http://mirror.example.org/debian bookworm main\n\
             deb [ arch=amd64 signed-by=/k/a.gpg,/k/b.gpg check-valid-until=No ] \
             http://b.example.org ./\n",
        )
        .unwrap();
        std::fs::write(
            parts.join("debian.sources"),
            "Types: deb deb-src\n# a comment\nURIs: http://c.example.org\n http://d.example.org\n\
             Suites: s s-updates\nComponents: main\nSigned-By: /k/c.gpg\n\
             Check-Valid-Until: off\n \n\
             Enabled: no\nTypes: deb\nURIs: http://e.example.org\nSuites: s\n\n\
             Types: deb-src\nURIs: http://f.example.org\nSuites: s",
        )
        .unwrap();
        std::fs::write(parts.join("ignored.bak"), "deb nonsense").unwrap();
        let sources = parse_folder(folder.path()).unwrap();
        let shown: Vec<_> = sources
            .iter()
            .map(|s| format!("{} {} {}", s.url, s.suites.join(","), s.components.join(",")))
            .collect();
        assert_eq!(
            shown,
            [
                "http://mirror.example.org/debian bookworm main,contrib",
                "http://b.example.org ./ ",
                "http://c.example.org s,s-updates main",
                "http://d.example.org s,s-updates main",
            ]
        );
        let files = |paths: &[&str]| SignedBy::Files(paths.iter().map(PathBuf::from).collect());
        let checked: Vec<_> = sources.iter().map(|source| source.check_valid_until).collect();
        assert_eq!(checked, [true, false, false, false]);
        assert_eq!(sources[0].signed_by, None);
        assert_eq!(sources[1].signed_by, Some(files(&["/k/a.gpg", "/k/b.gpg"])));
        assert_eq!(sources[3].signed_by, Some(files(&["/k/c.gpg"])));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parse_list("\ndeb http://x").unwrap_err().starts_with("line 2"));
        let no_suite = parse_sources("Types: deb\nURIs: x\n").unwrap_err();
        assert!(no_suite.contains("Suites is missing"), "{no_suite}");
        let fingerprint = "Types: deb\nURIs: x\nSuites: y\nSigned-By: ABCD\n";
        assert!(parse_sources(fingerprint).unwrap_err().contains("names no keyring file"));
    }
}
