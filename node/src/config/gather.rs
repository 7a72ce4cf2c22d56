//! Finds everything that is wrong with a text before any of it is used. The reader of TOML stops at
//! the first error, so the text is read again without each value that was wrong.

use core::mem;
use std::collections::BTreeMap;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::error::Problems;
use super::file::File;
use crate::distribution::registry;

/// Errors that are shown at once: more are noise, and each costs one reading of the file.
const PROBLEMS_MAX: usize = 100;

/// The file in `text` without what is wrong in it, and which keys that leaves out. `None`: it is
/// no TOML, or has more errors than are shown.
pub(super) fn gather(text: &str, problems: &mut Problems<'_>) -> Option<(File, Vec<KeyPath>)> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        errors.iter().for_each(|error| problems.add_syntax(error));
        return None;
    }
    let (mut tree, mut left_out) = (tree, Vec::new());
    dates_as_fractions(tree.get_mut());
    while left_out.len() < PROBLEMS_MAX {
        let error = match file(tree.clone()) {
            Ok(file) => return Some((file, left_out)),
            Err(error) => error,
        };
        let removed = error.span().and_then(|span| remove(tree.get_mut(), span.start));
        problems.add_value(&error, removed.as_deref().unwrap_or_default());
        // Without a place nothing can be left out, and the next reading would end the same way.
        left_out.push(removed?);
    }
    None
}

/// Reads the tables of distributions by what each knows of its own, and the rest.
fn file(mut tree: Spanned<DeTable<'_>>) -> Result<File, toml::de::Error> {
    let mut built_in = BTreeMap::new();
    for distribution in registry() {
        let table = tree.get_mut().remove(distribution.name());
        let settings = distribution.settings(table)?;
        built_in.extend(settings.map(|settings| (distribution.name(), settings)));
    }
    let rest = File::deserialize(Deserializer::from(tree))?;
    Ok(File { built_in, ..rest })
}

/// Keys from the top of the file down to one of them.
pub(super) type KeyPath = Vec<String>;

/// Removes the innermost element or key at the byte `at`, and says what it was part of.
fn remove(table: &mut DeTable<'_>, at: usize) -> Option<KeyPath> {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        let is_inside = match value.get_mut() {
            DeValue::Table(inner) => remove(inner, at),
            DeValue::Array(inner) => remove_element(inner, at),
            _ => None,
        };
        let is_it = key.span().contains(&at) || value.span().contains(&at);
        if let Some(rest) = is_inside {
            return Some([vec![key.get_ref().to_string()], rest].concat());
        }
        if is_it {
            found = Some(key.get_ref().to_string());
            break;
        }
    }
    let found = found?;
    table.remove(found.as_str());
    Some(vec![found])
}

/// As [`remove`]; elements have no keys of their own.
fn remove_element(array: &mut DeArray<'_>, at: usize) -> Option<KeyPath> {
    for value in array.iter_mut() {
        let inside = match value.get_mut() {
            DeValue::Table(inner) => remove(inner, at),
            DeValue::Array(inner) => remove_element(inner, at),
            _ => None,
        };
        if inside.is_some() {
            return inside;
        }
    }
    let is_it = |value: &Spanned<DeValue<'_>>| value.span().contains(&at);
    if !array.iter().any(is_it) {
        return None;
    }
    let kept = mem::replace(array, DeArray::new()).into_iter().filter(|value| !is_it(value));
    kept.for_each(|value| array.push(value));
    Some(KeyPath::new())
}

/// Replaces dates by fractions: no key takes either, and the reader would show a date as a table
/// with a private name.
fn dates_as_fractions(table: &mut DeTable<'_>) {
    table.iter_mut().for_each(|(_, value)| date_as_fraction(value.get_mut()));
}

fn date_as_fraction(value: &mut DeValue<'_>) {
    match value {
        DeValue::Datetime(_) => {
            let fraction = DeTable::parse("x = 0.0").expect("it is TOML");
            let mut fraction = fraction.into_inner();
            *value = fraction.remove("x").expect("it is its only key").into_inner();
        }
        DeValue::Array(items) => {
            items.iter_mut().for_each(|item| date_as_fraction(item.get_mut()));
        }
        DeValue::Table(table) => dates_as_fractions(table),
        _ => {}
    }
}
