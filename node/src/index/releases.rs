//! A profile of several releases: each is read for itself, and one that cannot be read costs that
//! release alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rebuilder_actors::port::{
    BoxFuture, Group, IndexError, IndexRead, IndexReader, KeptRelease, Unread,
};
use rebuilder_actors::protocol::{IndexState, Sha256, UtcMillis};

/// Reads each release with a reader of its own.
pub struct Releases {
    /// By name, in the order of the configuration.
    readers: Vec<(Box<str>, Arc<dyn IndexReader>)>,
    /// Artifacts of all releases together; more are an error.
    packages_max: usize,
    source: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Of each release, as it was last read by this process.
    states: BTreeMap<Box<str>, IndexState>,
    /// Artifacts of each.
    artifacts: BTreeMap<Box<str>, usize>,
    kept: Vec<KeptRelease>,
    unread: Unread,
    /// The state from which the next read goes on; `None` while one is under way, and after one
    /// that answered nothing. Where another state is given then, this one was not used: a
    /// hand-over or a read broke off, and every release is read whole again.
    last: Option<Option<IndexState>>,
}

impl Releases {
    /// `source` names the archive in errors.
    pub fn new(
        readers: Vec<(Box<str>, Arc<dyn IndexReader>)>,
        packages_max: usize,
        source: String,
    ) -> Self {
        Self { readers, packages_max, source, known: Mutex::default() }
    }

    async fn read_each(
        &self,
        since: Option<&IndexState>,
        now: UtcMillis,
        sink: &mut (dyn FnMut(Group) + Send),
    ) -> Result<IndexRead, IndexError> {
        {
            let mut known = self.known();
            if known.last.take() != Some(since.cloned()) {
                known.states.clear();
                known.artifacts.clear();
            }
        }
        let (mut changed, mut first_error) = (false, None);
        let (mut kept, mut unread) = (Vec::new(), Unread::default());
        for (name, reader) in &self.readers {
            // After a start only the dates of before are known, which still guard against an older
            // index; the release is read whole once.
            let before = self.known().states.get(name).cloned().or_else(|| since.cloned());
            let mut artifacts = 0;
            let mut count = |group: Group| {
                artifacts += group.artifacts.len();
                sink(group);
            };
            match reader.read(before.as_ref(), now, &mut count).await {
                Ok(IndexRead::Changed(state)) => {
                    changed = true;
                    let mut known = self.known();
                    known.states.insert(name.clone(), state);
                    let as_before = reader.kept();
                    if as_before.is_empty() {
                        known.artifacts.insert(name.clone(), artifacts);
                    }
                    kept.extend(as_before);
                }
                // What it names is as before: nothing of it is handed over.
                Ok(IndexRead::Unchanged) => {
                    kept.push(KeptRelease { name: name.clone(), error: None });
                }
                Err(error) => {
                    kept.push(KeptRelease { name: name.clone(), error: Some(error.clone()) });
                    first_error.get_or_insert(error);
                }
            }
            let own = reader.unread();
            unread.stanzas += own.stanzas;
            unread.notes.extend(own.notes);
            unread.doubts.extend(own.doubts);
        }
        let failed = kept.iter().filter(|kept| kept.error.is_some()).count();
        if failed == self.readers.len() {
            // Nothing was taken in of any.
            self.known().last = Some(since.cloned());
            return Err(first_error.expect("each one failed"));
        }
        let mut known = self.known();
        (known.kept, known.unread) = (kept, unread);
        let total: usize = known.artifacts.values().sum();
        if total > self.packages_max {
            return Err(IndexError::Refused {
                url: self.source.clone(),
                reason: format!(
                    "its releases name {total} packages together, more than packages_max = {}",
                    self.packages_max
                ),
            });
        }
        if !changed {
            known.last = Some(since.cloned());
            return Ok(IndexRead::Unchanged);
        }
        let state = whole(&known, since);
        known.last = Some(Some(state.clone()));
        Ok(IndexRead::Changed(state))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is one call: it is whole after a panic elsewhere, too.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of all releases: of one that could not be read, what was known before.
fn whole(known: &Known, since: Option<&IndexState>) -> IndexState {
    let mut releases: Vec<_> = known.states.values().flat_map(|s| s.releases.clone()).collect();
    for before in since.iter().flat_map(|since| &since.releases) {
        if !releases.iter().any(|release| release.name == before.name) {
            releases.push(before.clone());
        }
    }
    let settings: Vec<Sha256> = known.states.values().map(|state| state.settings).collect();
    IndexState { releases, settings: Sha256::of(format!("{settings:?}").as_bytes()) }
}

impl IndexReader for Releases {
    fn read<'a>(
        &'a self,
        since: Option<&'a IndexState>,
        now: UtcMillis,
        sink: &'a mut (dyn FnMut(Group) + Send),
    ) -> BoxFuture<'a, Result<IndexRead, IndexError>> {
        Box::pin(self.read_each(since, now, sink))
    }

    fn kept(&self) -> Vec<KeptRelease> {
        self.known().kept.clone()
    }

    fn unread(&self) -> Unread {
        self.known().unread.clone()
    }
}

#[cfg(test)]
#[path = "releases_test.rs"]
mod tests;
