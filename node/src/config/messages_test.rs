//! Keys, sections and files that a message names are there. Messages are the texts with a blank in
//! them in the sources of all programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::keys::tables;
use crate::role;

/// Words of this form that are no keys: calls and options of the kernel, a type of C, and columns
/// that are asked for over HTTP.
const OTHER_NAMES: [&str; 6] =
    ["built_at", "close_range", "ia32_emulation", "pid_t", "pidfd_open", "queued_at"];
/// What other programs write in brackets.
const OTHER_SECTIONS: [&str; 1] = ["[options]"];

#[test]
fn every_key_section_and_file_that_a_message_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let known = Known::new(root);
    let (mut looked_at, mut wrong) = (0, Vec::new());
    for source in sources(root) {
        let text = fs::read_to_string(&source).unwrap();
        for message in literals(shipped(&text)).filter(|literal| literal.contains(' ')) {
            looked_at += 1;
            let said = known.unknown_in(&message).into_iter();
            wrong.extend(said.map(|name| format!("{}: {name}: {message}", source.display())));
        }
    }
    assert!(looked_at > 1_000, "{looked_at}");
    assert!(wrong.is_empty(), "names that do not exist:\n{}", wrong.join("\n"));
}

#[test]
fn names_that_do_not_exist_are_found() {
    let known = Known::new(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    for (message, name) in [
        ("if that is right, raise shrink_guard or remove the file", "shrink_guard"),
        ("set `public_adress` in [coordinator]", "public_adress"),
        ("list it in `admin` there", "admin"),
        ("write `release = \"sid\"` instead", "release"),
        ("it belongs into [schedules]", "[schedules]"),
        ("add a table [profiles.\"x\"] for it", "[profiles.\"x\"]"),
        ("see docs/config.md for more", "docs/config.md"),
        ("the key is client.key beside it", "client.key"),
    ] {
        assert_eq!(known.unknown_in(message), [name], "{message}");
    }
    let right = "set `listen` in [coordinator], or admins = [\"{key}\"]; the file {file_name} and \
                 ctl.key, docs/damage.md, [profile.\"debian\"]";
    assert_eq!(known.unknown_in(right), [""; 0]);
}

#[test]
fn literals_are_read_as_the_compiler_reads_them() {
    let text = r###"
        // "a comment"
        let a = "one \"two\" \
                 three"; /* "four" */ let c = '"';
        let b = r#"raw "quoted" text"#; let d: &'static str = "last";
    "###;
    let found: Vec<String> = literals(text).collect();
    assert_eq!(found, ["one \"two\" three", "raw \"quoted\" text", "last"]);
    assert_eq!(shipped("a\n#[cfg(test)]\nmod tests {\n"), "a\n");
}

/// What may be named.
struct Known {
    root: PathBuf,
    keys: BTreeSet<&'static str>,
    sections: BTreeSet<String>,
}

impl Known {
    fn new(root: &Path) -> Self {
        let tables = tables();
        let keys = tables.iter().flat_map(|(_, keys)| keys.iter().copied());
        let sections = tables.iter().map(|(header, _)| (*header).to_owned());
        Self { root: root.to_owned(), keys: keys.collect(), sections: sections.collect() }
    }

    /// What a message names that is not there.
    fn unknown_in(&self, message: &str) -> Vec<String> {
        let message = without_arguments(message);
        // A quoted word may be a program or a value: it is wrong when it is nearly a key.
        let quoted = message.split('`').skip(1).step_by(2).filter_map(|quoted| {
            let word = quoted.split(" = ").next().unwrap_or_default();
            let may_be_key = !word.is_empty() && !word.contains('_') && is_lower(word);
            (may_be_key && self.keys.iter().any(|key| is_nearly(word, key))).then_some(word)
        });
        let is_word = |c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c));
        let words = message.split(is_word).map(|word| word.trim_end_matches('.'));
        let names = words.clone().filter(|word| {
            let parts = word.split('_');
            word.contains('_') && parts.clone().all(|part| !part.is_empty() && is_lower(part))
        });
        let names = names.filter(|name| !OTHER_NAMES.contains(name)).chain(quoted);
        let mut unknown: BTreeSet<String> =
            names.filter(|name| !self.keys.contains(name)).map(Into::into).collect();
        unknown.extend(words.filter(|word| self.is_missing_file(word)).map(Into::into));
        unknown.extend(sections(&message).filter(|section| !self.has_section(section)));
        unknown.into_iter().collect()
    }

    fn is_missing_file(&self, word: &str) -> bool {
        let key = word.ends_with(".key") || word.ends_with(".pub");
        let file = word.rsplit('/').next().unwrap_or_default();
        let known = role::KEYS
            .iter()
            .any(|(name, _)| file == *name || file == name.replace(".key", ".pub"));
        word.starts_with("docs/") && !self.root.join(word).exists()
            || key && !word.starts_with('.') && !known
    }

    fn has_section(&self, section: &str) -> bool {
        let general = match section.split_once('.') {
            Some((head, _)) => format!("{head}.\"NAME\"]"),
            None => section.to_owned(),
        };
        self.sections.contains(&general) || OTHER_SECTIONS.contains(&section)
    }
}

/// True when one character more, less or another one makes the two the same.
fn is_nearly(a: &str, b: &str) -> bool {
    let same = |(x, y): &(u8, u8)| x == y;
    let begin = a.bytes().zip(b.bytes()).take_while(same).count();
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(same).count();
    let (short, long) = (a.len().min(b.len()), a.len().max(b.len()));
    a != b && long - short <= 1 && begin + end + 1 >= long
}

fn is_lower(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// `{…}` of a format is not what is shown; a brace that is shown is doubled.
fn without_arguments(message: &str) -> String {
    let mut parts = message.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('}').map_or(part, |(_, rest)| rest))
}

/// `[word]` and `[word."name"]`.
fn sections(message: &str) -> impl Iterator<Item = String> {
    message.match_indices('[').filter_map(|(at, _)| {
        let inside = message[at + 1..].split_once(']')?.0;
        let (head, name) = inside.split_once('.').unwrap_or((inside, "\"\""));
        let is_section = head.len() > 3 && is_lower(head) && name.starts_with('"');
        is_section.then(|| format!("[{inside}]"))
    })
}

/// Sources of the programs, without tests.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["actors", "ctl", "node", "transport"].map(|name| root.join(name).join("src")).into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.extend((name != "tests").then_some(path));
            } else if name.ends_with(".rs") && !name.contains("_test") && name != "tests.rs" {
                found.push(path);
            }
        }
    }
    found
}

/// The text of a source before its tests.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// The string literals of a source, without their escapes.
fn literals(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text;
    core::iter::from_fn(move || {
        loop {
            let at = rest.find(['"', '/', '\'', 'r'])?;
            let before_is_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            rest = &rest[at..];
            if rest.starts_with("//") {
                rest = rest.split_once('\n')?.1;
            } else if rest.starts_with("/*") {
                rest = rest.split_once("*/")?.1;
            } else if let Some(after) = rest.strip_prefix('"') {
                let (literal, left) = quoted(after);
                rest = left;
                return Some(literal);
            } else if let Some(end) = raw_end(rest).filter(|_| !before_is_word) {
                let (literal, left) = rest[end.len() + 1..].split_once(&end)?;
                rest = left;
                return Some(literal.to_owned());
            } else {
                rest = &rest[character(rest)..];
            }
        }
    })
}

/// What ends the raw literal that `text` begins with.
fn raw_end(text: &str) -> Option<String> {
    let hashes = text.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    hashes[count..].starts_with('"').then(|| format!("\"{}", "#".repeat(count)))
}

/// Bytes of the character literal that `text` begins with; 1 when it begins with none.
fn character(text: &str) -> usize {
    let inside = text.strip_prefix('\'').unwrap_or_default();
    let from = if inside.starts_with('\\') { 2 } else { 1 };
    let Some((at, _)) = inside.char_indices().nth(from) else { return 1 };
    let length = if inside.starts_with('\\') { inside[at..].find('\'') } else { Some(0) };
    match length {
        Some(more) if inside[at + more..].starts_with('\'') && at + more < 14 => at + more + 2,
        _ => 1,
    }
}

/// The literal after its first quote, and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let (mut literal, mut escaped, mut skipping) = (String::new(), false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if skipping && c.is_whitespace() => continue,
            '\n' if escaped => (escaped, skipping) = (false, true),
            _ if escaped => {
                escaped = false;
                literal.push(if c == 'n' { '\n' } else { c });
            }
            '\\' => (escaped, skipping) = (true, false),
            '"' => return (literal, &text[at + 1..]),
            c => {
                skipping = false;
                literal.push(c);
            }
        }
    }
    (literal, "")
}
