//! What of an index could not be read: counted, named, and refused where it is too much.

use std::collections::BTreeSet;

use rebuilder_actors::port::{Doubt, IndexError, Unread};
use rebuilder_actors::protocol::Waived;

use super::group::LoadedSuite;
use super::packages::Skipped;
use super::release::ReleaseFile;

/// Which packages a file lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Binary,
    Source,
}

/// Refuses a suite of which more than `guard` percent of the `stanzas` cannot be read.
pub(super) fn guard(
    url: &str,
    skipped: &[(Kind, String, Skipped)],
    stanzas: u64,
    guard: u8,
) -> Result<(), IndexError> {
    let count = skipped.len() as u64;
    let Some((_, file, first)) = skipped.first() else { return Ok(()) };
    if count.saturating_mul(100) <= stanzas.saturating_mul(guard.into()) {
        return Ok(());
    }
    let reason = format!(
        "{count} of {stanzas} stanzas cannot be read, more than {guard} %: if that is right, raise \
         `unreadable_guard_percent` of the profile; the first is in {file}: {}",
        first.error
    );
    Err(IndexError::Refused { url: url.to_owned(), reason })
}

/// What is said of those that were left out.
pub(super) fn of(release: &str, skipped: &[(Kind, String, Skipped)]) -> Unread {
    let mut notes: Vec<String> = skipped
        .iter()
        .take(NOTES_MAX)
        .map(|(_, url, one)| format!("{url}: {}", one.error))
        .collect();
    if skipped.len() > NOTES_MAX {
        notes.push(format!("and {} more stanzas that cannot be read", skipped.len() - NOTES_MAX));
    }
    // A source that cannot be read leaves its binaries where they are.
    let binaries = skipped.iter().filter(|(kind, ..)| *kind == Kind::Binary);
    let mut doubts: Vec<Doubt> = binaries
        .map(|(_, _, one)| Doubt {
            release: Some(release.into()),
            package: one.package.as_deref().map(Into::into),
        })
        .collect();
    doubts.sort();
    doubts.dedup();
    Unread { stanzas: skipped.len() as u64, notes, doubts }
}

/// Leaves out doubts about packages that a release names elsewhere so that it can be read: another
/// version or another file of them is known, and what it replaced is gone.
pub(super) fn settle<'a>(suites: &[LoadedSuite], unread: impl Iterator<Item = &'a mut Unread>) {
    let mut all: Vec<&mut Unread> = unread.filter(|unread| !unread.doubts.is_empty()).collect();
    if all.is_empty() {
        return;
    }
    let doubted: BTreeSet<Box<str>> =
        all.iter().flat_map(|unread| &unread.doubts).filter_map(|d| d.package.clone()).collect();
    let tables = suites.iter().flat_map(|suite| &suite.binaries).map(|(_, table)| table);
    let names = tables.flat_map(|table| table.rows.iter().map(|row| table.texts.get(row.name)));
    let known: BTreeSet<&str> = names.filter(|name| doubted.contains(*name)).collect();
    for unread in &mut all {
        unread.doubts.retain(|d| d.package.as_deref().is_none_or(|name| !known.contains(name)));
    }
}

/// One line for each rule that the index breaks.
pub(super) fn waived(url: &str, file: &ReleaseFile, waived: Waived) -> Vec<String> {
    let grade = if waived.is_pinned { "" } else { "; such verdicts are not of gate grade" };
    let mut lines = Vec::new();
    if waived.date {
        lines.push(format!("{url} has no Date: nothing tells whether it is the newest{grade}"));
    }
    if waived.valid_until {
        lines.push(format!("{url} expired, and is followed all the same{grade}"));
    }
    if waived.suite {
        let names = [file.suite.as_deref(), file.codename.as_deref()];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        let what = match &names[..] {
            [] => "names no Suite and no Codename".to_owned(),
            names => format!("calls itself {}", names.join(", ")),
        };
        lines.push(format!("{url} {what}, and is followed all the same{grade}"));
    }
    lines
}

/// Adds what is unread of another suite.
pub(super) fn add(all: &mut Unread, other: Unread) {
    all.stanzas += other.stanzas;
    all.notes.extend(other.notes);
    all.doubts.extend(other.doubts);
}

/// Stanzas of a suite that are named; the others are counted.
const NOTES_MAX: usize = 20;
