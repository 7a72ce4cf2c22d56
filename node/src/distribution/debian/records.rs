//! Under which name a build's record is found, and whether a record is of that build.

use rebuilder_actors::protocol::{Artifact, Sha256};

use super::format::paragraph::Paragraph;
use crate::distribution::Fit;

/// The URLs under which the `.buildinfo` at `url` may lie, that one first. A build of packages for
/// one architecture and for `all` at once has one record of both, and archives differ in the names:
/// `_all`, `_amd64`, `_all-amd64`, with `-source` where the source was uploaded with it, and
/// `_source`. `native`: the architecture that builds what is for `all`.
pub(crate) fn places(url: &str, native: &str) -> Vec<String> {
    let parts = url.strip_suffix(END).and_then(|stem| stem.rsplit_once('_'));
    let Some((stem, built)) = parts.filter(|(_, built)| !built.contains('/')) else {
        return vec![url.to_owned()];
    };
    let one = if built == "all" { native } else { built };
    let mut names = vec![built.to_owned()];
    names.extend([
        one.to_owned(),
        format!("all-{one}"),
        format!("{one}-source"),
        format!("all-{one}-source"),
        format!("{built}-source"),
        "source".to_owned(),
    ]);
    let mut places = Vec::new();
    for name in names {
        let place = format!("{stem}_{name}{END}");
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Judges `record` by its `Checksums-Sha256`.
pub(crate) fn fit(record: &[u8], artifacts: &[Artifact]) -> Fit {
    if record.trim_ascii_start().starts_with(b"<") {
        return Fit::None;
    }
    let Ok(paragraph) = Paragraph::parse(record) else { return Fit::None };
    let Ok(files) = paragraph.get("Checksums-Sha256") else { return Fit::None };
    let mut best = Fit::Other;
    for line in files.unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        let (digest, _, name) = (words.next(), words.next(), words.next().unwrap_or_default());
        let digest = digest.and_then(|digest| digest.parse::<Sha256>().ok());
        for artifact in artifacts {
            if artifact.sha256.is_some() && artifact.sha256 == digest {
                return Fit::Same;
            }
            if without_epoch(name) == without_epoch(&artifact.file) {
                best = Fit::Named;
            }
        }
    }
    best
}

/// A package's file name as dpkg makes it. Some archives keep the epoch: `name_1%3a2_all.deb`.
fn without_epoch(file: &str) -> String {
    let file = file.replace("%3a", ":").replace("%3A", ":");
    match file.split_once('_').and_then(|(name, rest)| Some((name, rest.split_once(':')?))) {
        Some((name, (epoch, rest))) if epoch.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{name}_{rest}")
        }
        _ => file,
    }
}

/// With which names of records end.
pub(crate) const END: &str = ".buildinfo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_looked_for_under_every_name() {
        let pool = "http://b.example.org/h/hello";
        let names = |file: &str| -> Vec<String> {
            let places = places(&format!("{pool}/{file}"), "amd64");
            places.iter().map(|place| place[pool.len() + 1..].to_owned()).collect()
        };
        assert_eq!(
            names("hello_1.0-1_all.buildinfo"),
            [
                "hello_1.0-1_all.buildinfo",
                "hello_1.0-1_amd64.buildinfo",
                "hello_1.0-1_all-amd64.buildinfo",
                "hello_1.0-1_amd64-source.buildinfo",
                "hello_1.0-1_all-amd64-source.buildinfo",
                "hello_1.0-1_all-source.buildinfo",
                "hello_1.0-1_source.buildinfo",
            ]
        );
        assert_eq!(
            names("hello_1.0-1_arm64.buildinfo"),
            [
                "hello_1.0-1_arm64.buildinfo",
                "hello_1.0-1_all-arm64.buildinfo",
                "hello_1.0-1_arm64-source.buildinfo",
                "hello_1.0-1_all-arm64-source.buildinfo",
                "hello_1.0-1_source.buildinfo",
            ]
        );
        for odd in ["/r/x.buildinfo", "/a_b/x", "/a_b/x.buildinfo", "/r/x_1_all.BUILDINFO"] {
            assert_eq!(places(odd, "amd64"), [odd]);
        }
    }

    #[test]
    fn the_checksums_say_whose_record_it_is() {
        let artifact = |file: &str, content: Option<&[u8]>| Artifact {
            name: "a".into(),
            version: "1:2".into(),
            component: None,
            architecture: "all".into(),
            file: file.into(),
            url: "/x".into(),
            size: None,
            sha256: content.map(Sha256::of),
        };
        let known = [artifact("a_1%3a2_all.deb", Some(b"a"))];
        let unknown = [artifact("a_2_all.deb", None)];
        let line = |content: &[u8], file: &str| {
            format!("Source: a\nChecksums-Sha256:\n {} 1 {file}\n", Sha256::of(content))
        };
        for (record, artifacts, expected) in [
            (line(b"a", "other.deb"), &known, Fit::Same),
            (line(b"b", "a_2_all.deb"), &known, Fit::Named),
            (line(b"b", "a_2_all.deb"), &unknown, Fit::Named),
            (line(b"b", "a_3_all.deb"), &unknown, Fit::Other),
            ("Source: a\n".to_owned(), &known, Fit::Other),
            (" <!DOCTYPE html>\n<p>a_2_all.deb: not here".to_owned(), &known, Fit::None),
            ("A: 1\nA: 2\n".to_owned(), &known, Fit::None),
        ] {
            assert_eq!(fit(record.as_bytes(), artifacts), expected, "{record}");
        }
        assert_eq!((Fit::most(&known), Fit::most(&unknown)), (Fit::Same, Fit::Named));
    }
}
