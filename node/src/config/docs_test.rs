//! The documents name every key, and the example is right.

use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::{Config, Role, file};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");
const EXAMPLE: &str = include_str!("../../../docs/node.toml.example");

#[test]
fn the_reference_describes_every_key() {
    let tables = tables();
    let mut described = 0;
    for (header, keys) in &tables {
        let start = REFERENCE.find(&format!("## `{header}`\n")).expect(header);
        let section = &REFERENCE[start + 3..];
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
    assert_eq!(REFERENCE.matches("\n## `[").count(), tables.len());
    assert!(described > 70, "{described}");
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
    Config::parse(&one_way, path, Role::Standalone).unwrap();
    let used: toml::Table = toml::from_str(&uncommented).unwrap();
    for (header, keys) in tables() {
        let name = header.trim_matches(['[', ']']);
        let mut table = &used[name.split('.').next().unwrap_or(name)];
        if name.contains('.') {
            table = table.as_table().and_then(|all| all.values().next()).expect(name);
        }
        for key in keys {
            let elsewhere = ["signup_secret", "distro", "sync_method", "suite", "architecture"];
            let there = table.get(key).is_some() || elsewhere.contains(key);
            assert!(there, "docs/node.toml.example: no `{key}` in {header}");
        }
    }
}

/// Keys of each table by its header, from the types that read them.
pub(super) fn tables() -> [(&'static str, &'static [&'static str]); 9] {
    let tables = [
        ("[coordinator]", keys::<file::Coordinator>()),
        ("[schedule]", keys::<file::Schedule>()),
        ("[limits]", keys::<file::Limits>()),
        ("[proxy]", keys::<file::Proxy>()),
        ("[profile.\"NAME\"]", keys::<file::Profile>()),
        ("[worker]", keys::<file::Worker>()),
        ("[debian]", keys::<file::Debian>()),
        ("[diffoscope]", keys::<file::Diffoscope>()),
        ("[backend.\"NAME\"]", keys::<file::Script>()),
    ];
    assert_eq!(keys::<file::File>().len(), tables.len());
    tables
}

/// The names of the fields with which `T` asks to be read.
fn keys<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields = None;
    T::deserialize(Fields(&mut fields)).map(|_| ()).unwrap_err();
    fields.expect("a table is a struct")
}

struct Fields<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only the fields are asked for"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
