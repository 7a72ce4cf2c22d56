//! Faults of a configuration: all at once, each in its place, in words that are not the program's.

use super::Role;
use super::config_test::{DEBIAN, SECRET, one_profile, parse, profile, refused};
use super::keys::tables;
use super::load::Config;

#[test]
fn all_faults_are_shown_at_once() {
    let text = "[http]\nbind_addr = 'x'\n[worker]\nslots = '4'\nauthorized_workers = []\n\
        tags = 'x'\n[profile.p]\nreleases = 'sid'\npackages = 3\n[schedule]\nlease_secs = 1\n";
    let error = refused(text);
    for said in [
        ":2:13: `bind_addr`: `x` is not an IP address with port, as 127.0.0.1:8484",
        ":4:9: `slots`: a whole number is needed here, not the text \"4\"",
        ":5:1: unknown key `authorized_workers` here: it belongs in [coordinator]",
        ":6:8: `tags`: a list, as [\"…\"], is needed here, not the text \"x\"",
        ":8:12: `releases`: a list",
        ":9:1: unknown key `packages`",
        ":11:14: `lease_secs`: 1 is not between 30 and 86400",
    ] {
        assert!(error.contains(said), "{said}\n{error}");
    }
    // What would be warned about is not held back until the rest is mended.
    let text = format!("[worker]\nsignup_secret = '{SECRET}'\n[schedule]\nlease_secs = 1\n");
    let error = refused(&text);
    let warning = "\nbesides, the signup secret stands in [worker], so it admits no worker";
    assert!(error.contains(warning), "{error}");
    // What is missing beside an unknown key is told too.
    let error = refused("[profile.p]\ndistribution = 'debian'\nsuorce = '/m'\n");
    assert!(error.contains("`suorce`") && error.contains("has no `source`"), "{error}");
    // What is written wrong is not missing; in another profile it is.
    let error = refused(
        "[profile.p]\ndistribution = 'debian'\nsource = 1\n[profile.q]\ndistribution = 'debian'\n",
    );
    assert!(!error.contains("profile `p` has no `source`"), "{error}");
    assert!(error.contains("profile `q` has no `source`"), "{error}");
    let error = refused("[profile.p]\nreleases = [1, 'sid', true]\n");
    assert!(error.contains(":2:13: `releases`:") && error.contains(":2:23: `re"), "{error}");
    let error = refused("[worker]\nslots = \nname = 'x'\ntags = [\n");
    assert!(error.matches("/x/node.toml:").count() >= 2, "{error}");
}

#[test]
fn what_cannot_run_is_said_before_it_runs() {
    for (change, said) in [
        (["'bookworm'", "'main'"], "`main` in `releases` is a component everywhere else"),
        (["'main'", "'bookworm-updates'"], "the component `bookworm-updates` is a release"),
    ] {
        let (_, warnings) = one_profile(&DEBIAN.replace(change[0], change[1]));
        assert!(warnings[0].contains(said), "{warnings:?}");
    }
    for source in ["https://mirror.example.org/$repo/os/$arch", "file:///srv/$repo"] {
        let error =
            refused(&profile(&DEBIAN.replace("https://mirror.example.org/debian/", source)));
        assert!(error.contains("are placeholders of pacman"), "{error}");
    }
    let error = refused(&profile(&DEBIAN.replace("'debian'", "'archlinux'")));
    assert!(error.contains("only archives that are laid out like those of `debian`"), "{error}");
    let text = format!("[worker]\nsignup_secret = '{SECRET}'\n{}", profile(DEBIAN));
    let config = parse(&text, Role::Coordinator).unwrap();
    assert!(config.warnings[0].contains("stands in [worker]"), "{:?}", config.warnings);
    let both = format!("[coordinator]\nsignup_secret = '{SECRET}'\n{text}");
    assert_eq!(parse(&both, Role::Coordinator).unwrap().warnings, [""; 0]);
}

#[test]
fn what_a_file_names_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    let load = |text: &str, role| {
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), role).map_err(|error| error.to_string())
    };
    let keyring = folder.path().join("k.gpg");
    let text = profile(&format!("{DEBIAN}\nkeyring = '{}'", keyring.display()));
    let warnings = load(&text, Role::Coordinator).unwrap().warnings;
    assert!(warnings[0].contains("keyring") && warnings[0].contains("k.gpg"), "{warnings:?}");
    let of_worker = format!("[debian]\nkeyrings = ['{}']\n", keyring.display());
    let warnings = load(&of_worker, Role::Standalone).unwrap().warnings;
    assert!(warnings.iter().any(|said| said.contains("in `keyrings` of [debian]")), "{warnings:?}");
    let text_of_hurd = text.replace("'debian'", "'hurd'\nindex = 'debian'\nenvironment = 'suite'");
    let text_of_hurd = text_of_hurd.replace("\nkeyring = ", "\n# ");
    let warnings = load(&text_of_hurd, Role::Coordinator).unwrap().warnings;
    assert!(warnings[0].contains("install hurd-archive-keyring"), "{warnings:?}");
    std::fs::write(&keyring, "").unwrap();
    assert_eq!(load(&text, Role::Coordinator).unwrap().warnings, [""; 0]);
    let work_dir = folder.path().display();
    let alone = format!("[worker]\ncoordinator = 'c:1'\nwork_dir = '{work_dir}'\n");
    let error = load(&alone, Role::Worker).unwrap_err();
    assert!(error.contains("nothing proves which coordinator"), "{error}");
    let elsewhere = format!("{alone}[coordinator]\nsignup_secret = '{SECRET}'\n");
    let error = load(&elsewhere, Role::Worker).unwrap_err();
    assert!(error.contains("a worker does not read that of [coordinator]"), "{error}");
    for token in ["rebuilder1;c:1", "rebuilder1;c:1;ab;AAAAAAAAAAA;AAAAAAAAAAAAAAAA", SECRET, ""] {
        let invited = format!("[worker]\ninvitation = '{token}'\n");
        let error = load(&invited, Role::Worker).unwrap_err();
        let is_named =
            error.contains("invitation") && error.contains("`rebuilder-ctl worker invite`");
        assert!(is_named || error.contains("the invitation's key"), "{error}");
        assert!(!error.contains("openssl"), "{error}");
        assert!(token.is_empty() || !error.contains(token), "{error}");
    }
    let key = "ab".repeat(32);
    assert!(load(&format!("{alone}coordinator_key = '{key}'\n"), Role::Worker).is_ok());
    std::fs::write(folder.path().join("coordinator.pub"), &key).unwrap();
    assert!(load(&alone, Role::Worker).is_ok(), "it was proved before");
}

#[test]
fn filters_that_match_nothing_are_named() {
    for (keys, said) in [
        ("pkgs = ['Hello']", "`Hello` in `pkgs` matches nothing"),
        ("excludes = ['hello_2.10-3']", "`hello_2.10-3` in `excludes`"),
        ("include = [{ source_pkgs = ['src:gcc-*'] }]", "`src:gcc-*` in `source_pkgs`"),
        ("include = [{ component = 'contrib' }]", "the component `contrib`, which is not one"),
    ] {
        let (_, warnings) = one_profile(&format!("{DEBIAN}\n{keys}"));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(said), "{warnings:?}");
    }
    let right = "pkgs = ['lib*', 'g++', 'gcc-1[23]', '{a,B}']\n\
                 include = [{ component = 'main', source_pkgs = ['*', 'a?c'] }]";
    assert_eq!(one_profile(&format!("{DEBIAN}\n{right}")).1, [""; 0]);
}

/// Keys of tables that stand inside lists.
const INNER: [(&str, &[&str]); 3] = [
    ("include", &["exclude", "component", "binary_pkgs", "source_pkgs", "maintainer"]),
    ("archives", &["url", "suite", "components"]),
    ("releases", &["name", "source", "inrelease_sha256"]),
];

/// A value of each type, and odd ones of some.
const VALUES: [&str; 19] = [
    "'x y'",
    "''",
    "7",
    "-1",
    "99999999999999999999",
    "1.5",
    "nan",
    "1e-7",
    "true",
    "1979-05-27",
    "07:32:00",
    "1979-05-27T07:32:00Z",
    "[]",
    "[1]",
    "['x', 1.5]",
    "[[]]",
    "{}",
    "{ x = 1 }",
    "[{ x = 1979-05-27 }]",
];

/// Words of the program's language and of its libraries.
const WORDS: [&str; 22] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "missing field",
    "unknown variant",
    "i64",
    "u64",
    "i128",
    "u128",
    "u32",
    "i32",
    "struct",
    "enum",
    "sequence",
    " map",
    "boolean",
    "floating",
    "wanted",
    "$__",
    "Option",
    "tuple",
    "`0.0`",
];

#[test]
fn wrong_types_are_refused_in_words_of_a_configuration() {
    let mut refused = 0;
    let mut check = |text: &str, key: &str| {
        let Err(error) = parse(text, Role::Coordinator) else { return };
        refused += 1;
        for word in WORDS {
            assert!(!error.contains(word), "{word:?}:\n{text}\n{error}");
        }
        let of_key = error.lines().filter(|line| line.contains("/x/node.toml:2:"));
        let named = of_key.filter(|line| line.contains(&format!("`{key}"))).count();
        let other = ["has no", "is missing here", "unknown key", "it is not known where"];
        assert!(named > 0 || other.iter().any(|said| error.contains(said)), "{text}\n{error}");
    };
    for (header, keys) in tables() {
        let header = header.replace("\"NAME\"", "p");
        for key in keys {
            for value in VALUES {
                check(&format!("{header}\n{key} = {value}\n"), key);
            }
        }
    }
    for (list, keys) in INNER {
        for key in keys {
            for value in VALUES {
                check(&format!("[profile.p]\n{list} = [{{ {key} = {value} }}]\n"), key);
            }
        }
    }
    for value in VALUES {
        for (table, inner) in [("schedule", ""), ("profile", ".p"), ("backend", ".p")] {
            let key = if inner.is_empty() { table } else { "p" };
            check(&format!("\n{table}{inner} = {value}\n"), key);
        }
    }
    // Each key refuses nearly every value of another type than its own.
    assert!(refused > 1_400, "{refused}");
}
