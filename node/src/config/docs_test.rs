//! The documents name every key, and the example is right.

use std::path::Path;

use super::keys::{keys, tables};
use super::{Config, Role, file};
use crate::distribution::registry;

const REFERENCE: &str = include_str!("../../../docs/configuration.md");
const EXAMPLE: &str = include_str!("../../../docs/node.toml.example");

#[test]
fn the_reference_describes_every_key() {
    let tables = tables();
    // Chapters of distributions are theirs; the reference holds those of all that are built in.
    let reference = registry().iter().fold(REFERENCE.to_owned(), |reference, distribution| {
        let chapter = distribution.docs();
        if reference.contains(chapter) {
            return reference;
        }
        assert_eq!(distribution.name(), "toy", "docs/configuration.md lacks its chapter");
        format!("{reference}\n{chapter}")
    });
    let mut described = 0;
    for (header, keys) in &tables {
        let start = reference.find(&format!("## `{header}`\n")).expect(header);
        let section = &reference[start + 3..];
        let section = &section[..section.find("\n## ").unwrap_or(section.len())];
        for key in *keys {
            let named = section.lines().any(|line| {
                line.starts_with("| `") && line.contains(&format!("`{key}`"))
                    || line.starts_with(&format!("| `{key} = "))
            });
            assert!(named, "docs/configuration.md: no `{key}` in {header}");
            described += 1;
        }
        // The other way round: nothing is described that is not there.
        for line in section.lines().filter(|line| line.starts_with("| `")) {
            let cell = line.split('|').nth(1).unwrap_or_default();
            for key in cell.split('`').skip(1).step_by(2) {
                let key = key.split(" = ").next().unwrap_or_default();
                assert!(keys.contains(&key), "docs/configuration.md: `{key}` is not in {header}");
            }
        }
    }
    assert_eq!(reference.matches("\n## `[").count(), tables.len());
    assert!(described > 70, "{described}");
    assert_eq!(keys::<file::File>().len() + registry().len(), tables.len());
}

#[test]
fn the_example_is_right_as_it_is_and_with_every_key_in_use() {
    let path = Path::new("docs/node.toml.example");
    let config = Config::parse(EXAMPLE, path, Role::Coordinator).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    // Commented-out keys stand right after the `#`, prose after a space.
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    // Roles that read the secret's file would not find it here; a worker may have only one way in.
    let one_way = uncommented.replace("signup_secret_file = \"/etc/rebuilder/signup-secret\"", "");
    let one_way = one_way.replace("cookie_file = \"/var/lib/rebuilderd/auth-cookie\"", "");
    Config::parse(&one_way, path, Role::Standalone).unwrap();
    let used: toml::Table = toml::from_str(&uncommented).unwrap();
    for (header, keys) in tables().into_iter().filter(|(header, _)| header != "[toy]") {
        let name = header.trim_matches(['[', ']']);
        let mut table = &used[name.split('.').next().unwrap_or(name)];
        if name.contains('.') {
            table = table.as_table().and_then(|all| all.values().next()).expect(name);
        }
        for key in keys {
            let elsewhere =
                ["signup_secret", "cookie", "distro", "sync_method", "suite", "architecture"];
            let there = table.get(key).is_some() || elsewhere.contains(key);
            assert!(there, "docs/node.toml.example: no `{key}` in {header}");
        }
    }
}
