use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

/// What readers of an engine without versions of its own see: what its last durable commit left, or
/// an earlier one for a snapshot. Each commit puts the values that it replaces here before it
/// replaces them; whoever reads looks here first.
///
/// Commits are numbered from 1 on; 0 is what was there when the store was opened.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// The last commit that was applied.
    applied: u64,
    /// The last commit that is durable.
    durable: u64,
    /// The values that commits replaced, ascending by commit; `None`: the key was absent.
    replaced: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
    /// Of all that is in `replaced`.
    bytes: usize,
    /// How many snapshots there are of each commit.
    snapshots: BTreeMap<u64, usize>,
    /// Snapshots of commits before this one were given up.
    kept_from: u64,
}

/// Bytes of replaced values that are kept for snapshots. A coordinator at full rate replaces about
/// a megabyte a second, and a backup of a large store takes less than a minute.
const BYTES_MAX: usize = 64 << 20;
/// What an entry costs beside key and value, about.
const ENTRY_BYTES: usize = 96;

impl Versions {
    /// The commit whose state readers see now.
    pub(super) fn now(&self) -> u64 {
        self.durable
    }

    /// The next commit is applied, and replaces these values.
    pub(super) fn begin(&mut self, replaced: Vec<(Bytes, Option<Bytes>)>) {
        self.applied += 1;
        for (key, value) in replaced {
            self.bytes += ENTRY_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len);
            self.replaced.entry(key).or_default().push((self.applied, value));
        }
    }

    /// All that was applied is durable.
    pub(super) fn synced(&mut self) {
        self.durable = self.applied;
        self.prune();
        if self.bytes > BYTES_MAX {
            // Snapshots that are so old are given up; the newest state needs nothing.
            self.kept_from = self.durable;
            self.prune();
        }
    }

    /// A snapshot of what readers see now.
    pub(super) fn open(&mut self) -> u64 {
        *self.snapshots.entry(self.durable).or_default() += 1;
        self.durable
    }

    /// A snapshot is over.
    pub(super) fn close(&mut self, version: u64) {
        if let Some(count) = self.snapshots.get_mut(&version) {
            *count -= 1;
            if *count == 0 {
                self.snapshots.remove(&version);
                self.prune();
            }
        }
    }

    /// False when a snapshot was given up.
    pub(super) fn has(&self, version: u64) -> bool {
        version >= self.kept_from
    }

    /// The value at `key` as of `version`, where a later commit replaced it.
    pub(super) fn replaced(&self, key: &[u8], version: u64) -> Option<&Option<Bytes>> {
        at(self.replaced.get(key)?, version)
    }

    /// The same for all keys from `start` on.
    pub(super) fn range<'a>(
        &'a self,
        start: Bound<&[u8]>,
        version: u64,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> {
        let found = self.replaced.range::<[u8], _>((start, Bound::Unbounded));
        found.filter_map(move |(key, values)| Some((key, at(values, version)?)))
    }

    /// Forgets what nobody can ask for any more.
    fn prune(&mut self) {
        let oldest = self.snapshots.range(self.kept_from..).next().map(|(version, _)| *version);
        let oldest = oldest.unwrap_or(self.durable).min(self.durable);
        if oldest == self.applied {
            self.replaced.clear();
            self.bytes = 0;
            return;
        }
        let mut bytes = 0;
        self.replaced.retain(|key, values| {
            values.retain(|(commit, _)| *commit > oldest);
            let length = |(_, value): &(u64, Option<Bytes>)| {
                ENTRY_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len)
            };
            bytes += values.iter().map(length).sum::<usize>();
            !values.is_empty()
        });
        self.bytes = bytes;
    }
}

fn at(values: &[(u64, Option<Bytes>)], version: u64) -> Option<&Option<Bytes>> {
    values.iter().find(|(commit, _)| *commit > version).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(versions: &mut Versions, value: Option<&'static str>) {
        versions.begin(vec![(
            Bytes::from_static(b"k"),
            value.map(|text| Bytes::from_static(text.as_bytes())),
        )]);
    }

    #[test]
    fn readers_see_the_last_durable_commit_and_snapshots_theirs() {
        let mut versions = Versions::default();
        change(&mut versions, None);
        let now = versions.now();
        assert_eq!(versions.replaced(b"k", now), Some(&None), "applied and not durable");
        versions.synced();
        assert_eq!(versions.replaced(b"k", versions.now()), None, "what the engine has");
        let first = versions.open();
        change(&mut versions, Some("1"));
        versions.synced();
        let second = versions.open();
        change(&mut versions, Some("2"));
        versions.synced();
        assert_eq!(versions.replaced(b"k", first), Some(&Some(Bytes::from_static(b"1"))));
        assert_eq!(versions.replaced(b"k", second), Some(&Some(Bytes::from_static(b"2"))));
        assert_eq!(versions.range(Bound::Unbounded, second).count(), 1);
        versions.close(first);
        assert_eq!(versions.replaced[&b"k"[..]].len(), 1);
        versions.close(second);
        assert!(versions.replaced.is_empty() && versions.bytes == 0);
    }

    #[test]
    fn a_snapshot_that_costs_too_much_is_given_up() {
        let mut versions = Versions::default();
        let old = versions.open();
        for _ in 0..BYTES_MAX >> 20 {
            versions.begin(vec![(Bytes::from_static(b"k"), Some(vec![0; 1 << 20].into()))]);
            versions.synced();
        }
        assert!(!versions.has(old));
        assert!(versions.has(versions.now()) && versions.bytes < 1 << 20);
        let young = versions.open();
        change(&mut versions, None);
        versions.synced();
        assert!(versions.has(young));
        versions.close(old);
        assert_eq!(versions.replaced(b"k", young), Some(&None));
    }
}
