//! Which one artifact or job a reader means.

use std::collections::BTreeSet;

use crate::protocol::wire::v1::ctl::{Package, PackageFilter};

/// Rows that are shown of several matches.
const SHOWN_MAX: usize = 500;

/// All that a filter matches, gathered page by page.
#[derive(Debug)]
pub(super) struct Matches {
    of_job: bool,
    /// A name without pattern characters: a binary of this name is meant before its siblings of a
    /// source of this name.
    exact: Option<String>,
    named: Found,
    all: Found,
}

/// Matches, of which the first are kept.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// At most [`SHOWN_MAX`].
    pub(super) rows: Vec<Package>,
    /// All of them.
    pub(super) count: u32,
}

impl Matches {
    /// `of_job`: jobs are looked for, not artifacts.
    pub(super) fn new(filter: &PackageFilter, of_job: bool) -> Self {
        let plain = |name: &&String| !of_job && !name.contains(['*', '?', '[']);
        let exact = filter.name.as_ref().filter(plain).cloned();
        Self { of_job, exact, named: Found::default(), all: Found::default() }
    }

    /// The rows of whole jobs: one that several releases want is one match.
    pub(super) fn take(&mut self, rows: impl IntoIterator<Item = Package>) {
        let mut seen = BTreeSet::new();
        for row in rows {
            let file = if self.of_job { String::new() } else { row.file.clone() };
            if !seen.insert((row.job, file)) {
                continue;
            }
            if self.exact.as_ref() == Some(&row.name) {
                self.named.add(row.clone());
            }
            self.all.add(row);
        }
    }

    /// What was meant.
    pub(super) fn found(self) -> Found {
        if self.named.count > 0 { self.named } else { self.all }
    }
}

impl Found {
    fn add(&mut self, row: Package) {
        self.count = self.count.saturating_add(1);
        if self.rows.len() < SHOWN_MAX {
            self.rows.push(row);
        }
    }
}
