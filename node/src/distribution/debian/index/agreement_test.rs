//! What the index admits, the backend takes, and the other way round: both read the same words.

use proptest::prelude::*;

use super::packages::{Binaries, Wanted};
use super::sources::Sources;
use crate::distribution::debian::format::{Buildinfo, SourceControl};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Source and its version as the index has them; `None`: not admitted.
fn of_index(name: &str, version: &str, source: Option<&str>) -> Option<(String, String)> {
    let source = source.map(|source| format!("Source: {source}\n")).unwrap_or_default();
    let text = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/x.deb\n{source}"
    );
    let wanted =
        Wanted { architectures: vec!["amd64".to_owned()], maintainers: false, packages_max: 9 };
    let read = Binaries::read(&mut text.as_bytes(), "u", &wanted).ok()?;
    let [row] = &read.rows[..] else { return None };
    Some((read.texts.get(row.source).to_owned(), read.texts.get(row.source_version).to_owned()))
}

/// The same of a recorded build.
fn of_backend(name: &str, version: &str, source: Option<&str>) -> Option<(String, String)> {
    let source = source.unwrap_or(name);
    let text = format!(
        "Source: {source}\nVersion: {version}\nArchitecture: amd64\nBuild-Architecture: amd64\n\
         Installed-Build-Depends: {name} (= {version})\nEnvironment:\n LC_ALL=\"C\"\n\
         Checksums-Sha256:\n {DIGEST} 9 x.deb\n"
    );
    let read = Buildinfo::parse(text.as_bytes()).ok()?;
    Some((read.source, read.source_version))
}

/// The `.dsc` of one source as the index has it, and as the backend reads it; `None`: not admitted.
fn sources(name: &str, version: &str, file: &str) -> (Option<()>, Option<()>) {
    let wanted = Wanted { architectures: Vec::new(), maintainers: false, packages_max: 9 };
    let file = format!("{file}.dsc");
    let listed = format!(
        "Package: {name}\nVersion: {version}\nDirectory: pool\n\
         Checksums-Sha256:\n {DIGEST} 9 {file}\n"
    );
    let index = Sources::read(&mut listed.as_bytes(), "u", &wanted).ok();
    let dsc =
        format!("Source: {name}\nVersion: {version}\nChecksums-Sha256:\n {DIGEST} 9 {file}\n");
    let is_named = |index: Sources| index.find(name.trim(), version.trim())?.dsc.map(drop);
    (index.and_then(is_named), SourceControl::parse(dsc.as_bytes()).ok().map(drop))
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z0-9][a-z0-9+.-]{0,9}",
        4 => "[A-Za-z0-9_+.:~-]{0,9}",
        2 => "([0-9]{0,12}:)?[0-9a-z][0-9a-z.+~-]{0,6}",
        1 => "[ -9;-~]{0,9}",
        1 => "\\PC{0,5}",
        1 => "[a-z]{120,135}",
    ]
}

fn source() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        2 => word().prop_map(Some),
        3 => (word(), "[ \t]{0,2}", word()).prop_map(|(a, b, c)| Some(format!("{a}{b}({c})"))),
        1 => (word(), word()).prop_map(|(a, b)| Some(format!("{a} {b}"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn index_and_backend_agree_on_binaries(
        name in word(),
        version in word(),
        source in source(),
    ) {
        // A comma or blank within a name is several packages for the backend's list.
        prop_assume!(!name.contains([',', ' ', ':']));
        let source = source.as_deref();
        prop_assert_eq!(of_index(&name, &version, source), of_backend(&name, &version, source));
        if of_index(&name, &version, source).is_some() {
            // Blanks around a value are no part of it.
            prop_assert!(version.trim().parse::<debversion::Version>().is_ok());
        }
    }

    #[test]
    fn index_and_backend_agree_on_sources(name in word(), version in word(), file in word()) {
        let (index, backend) = sources(&name, &version, &file);
        prop_assert_eq!(index, backend);
    }
}

#[test]
fn they_agree_where_they_once_did_not() {
    for (name, version, source) in [
        ("r", "1", None),
        ("Odd_Name", "1", None),
        ("a", "1", Some("b(2)")),
        ("a", "1", Some("b (2")),
        ("a", "1", Some("b (2) x")),
        ("a", "1.0_rc1", None),
        ("a", ":1", None),
        ("a", "99999999999:1", None),
        ("a", "1", Some("b ( 2 )")),
    ] {
        let index = of_index(name, version, source);
        assert_eq!(index, of_backend(name, version, source), "{name} {version} {source:?}");
    }
    assert_eq!(of_index("r", "1", None), Some(("r".to_owned(), "1".to_owned())));
    assert_eq!(of_index("a", "1", Some("b(2)")), Some(("b".to_owned(), "2".to_owned())));
    assert_eq!(of_index("a", "1.0_rc1", None), None);
}
