use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rebuilder_actors::port::{
    Batch, Fence, ReadStore, Snapshot, Store, StoreError, StoreRead, StoreReader,
};
use rebuilder_actors::protocol::Sha256;
use rebuilder_actors::protocol::stored::{self, Record, SumsRecord};

use super::database_store::Visit;
use super::head::{Found, Head, HeadFile};
use super::summed::{SummedStore, Sums};
use super::sums::{self, record_digest, table_of};
use super::survey::{self, Survey};

/// Where a store and its head lie.
#[derive(Clone, Debug)]
pub struct Places {
    /// The engine's file, for errors.
    pub engine: PathBuf,
    /// The file of the head.
    pub head: PathBuf,
    /// True where the data directory says that its store has sums: then one without is damaged.
    pub has_sums: bool,
}

/// A store of any engine that was found whole when it was opened, and that will be found so again
/// or not at all: every batch carries counts, sums and chains of what the store holds then, and
/// the head of the chains is kept outside the engine's file (docs/damage.md).
///
/// Accepted reports and their signed bytes can only be appended. The record of the sums itself is
/// not shown.
#[derive(Debug)]
pub struct CheckedStore<S> {
    inner: S,
    engine: PathBuf,
    tally: Tally,
    head: HeadFile,
    /// A commit failed: what is stored is unknown until it is opened again.
    broken: Option<StoreError>,
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// All that its sums say is there.
    Whole,
    /// No sums: written by a release that kept none, or new. They were made.
    Adopted {
        /// Records that were found, of all tables.
        records: u64,
    },
}

impl<S: SummedStore> CheckedStore<S> {
    /// Reads all of `inner`, and compares it with its sums and its head; makes them if there are
    /// none yet.
    ///
    /// # Errors
    /// `Damaged` when something is missing, changed, or older than the head; those of the medium.
    pub fn open(mut inner: S, places: &Places) -> Result<(Self, Opened), StoreError> {
        let head = HeadFile::read(&places.head)?;
        let found = Survey::of(&inner, places, head.lengths())?;
        let last = found.last.clone();
        let (sums, opened) = match (found.stored.clone(), head) {
            (None, Found::Absent) if !places.has_sums => (adopt(&mut inner, &found, places)?, true),
            (None, Found::At(Head::BIRTH)) => (adopt(&mut inner, &found, places)?, true),
            (None, _) => {
                let reason = "it does not have the sums that the store keeps of its records: it \
                              was emptied, or comes from another time";
                return Err(damaged(&places.engine, reason));
            }
            (Some(sums), head) => {
                found.compare(&sums, places)?;
                compare_head(&sums, head, &found, places)?;
                (sums, false)
            }
        };
        let head = HeadFile::create(&places.head, &Head::of(&sums, &stored::write(&sums)))?;
        let opened = match opened {
            true => Opened::Adopted { records: found.records() },
            false => Opened::Whole,
        };
        let engine = places.engine.clone();
        let tally = Tally { sums, last, written: Bytes::new() };
        Ok((Self { inner, engine, tally, head, broken: None }, opened))
    }

    fn commit_all(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        let before = self.tally.sums.generation;
        // A failure may leave the tally ahead of what is stored: then nothing is written any more.
        self.inner.commit_summed(fence, batches, &mut self.tally)?;
        if self.tally.sums.generation == before {
            return Ok(());
        }
        // The batches are durable by now, so that the head is never ahead of the engine.
        self.head.write(&Head::of(&self.tally.sums, &self.tally.written))
    }
}

/// The sums of what a store holds, while it changes.
#[derive(Debug)]
struct Tally {
    sums: SumsRecord,
    /// Greatest key of each table in [`CHAINED`](sums::CHAINED); empty: none.
    last: [Bytes; 2],
    /// The record of `sums`, as it was last written; empty: not yet.
    written: Bytes,
}

impl Sums for Tally {
    fn change(
        &mut self,
        key: &[u8],
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        if *key == *SumsRecord::key(()) {
            return Err(refused(key, "that is where the store keeps its sums"));
        }
        let digest = |value| record_digest(key, value);
        let (before, after) = (before.map(digest), after.map(digest));
        sums::change(&mut self.sums, table_of(key), before.as_ref(), after.as_ref());
        let Some(place) = sums::chain_of(key) else { return Ok(()) };
        match after {
            Some(digest) if *key > *self.last[place] => {
                self.last[place] = Bytes::copy_from_slice(key);
                sums::append(&mut self.sums, place, &digest);
                Ok(())
            }
            _ => {
                let reason = "accepted reports are only appended, in the order of their numbers";
                Err(refused(key, reason))
            }
        }
    }

    fn record(&mut self) -> Option<(Vec<u8>, Bytes)> {
        self.sums.generation += 1;
        self.written = stored::write(&self.sums);
        Some((SumsRecord::key(()), self.written.clone()))
    }
}

impl<S: SummedStore> Store for CheckedStore<S> {
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError> {
        self.inner.take_over(held)
    }

    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let done = self.commit_all(fence, batches);
        self.broken = done.as_ref().err().cloned();
        done
    }

    fn reader(&self) -> StoreReader {
        Arc::new(CheckedReader(self.inner.reader()))
    }
}

impl<S: SummedStore> StoreRead for CheckedStore<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if *key == *SumsRecord::key(()) {
            return Ok(None);
        }
        self.inner.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let sums = SumsRecord::key(());
        self.inner.scan(prefix, from, &mut |key, value| *key == *sums || visit(key, value))
    }

    fn place(&self) -> String {
        self.engine.display().to_string()
    }
}

/// A reader that is not shown the record of the sums.
struct CheckedReader<R>(R);

impl<R: std::ops::Deref<Target: StoreRead>> StoreRead for CheckedReader<R> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if *key == *SumsRecord::key(()) { Ok(None) } else { self.0.get(key) }
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let sums = SumsRecord::key(());
        self.0.scan(prefix, from, &mut |key, value| *key == *sums || visit(key, value))
    }

    fn place(&self) -> String {
        self.0.place()
    }
}

impl ReadStore for CheckedReader<StoreReader> {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Box::new(CheckedReader(self.0.snapshot()?)))
    }
}

/// Makes the sums of a store that has none. A crash between its steps leaves a head that says that
/// the sums are being made.
fn adopt<S: SummedStore>(
    inner: &mut S,
    found: &Survey,
    places: &Places,
) -> Result<SumsRecord, StoreError> {
    found.check_numbers(places)?;
    drop(HeadFile::create(&places.head, &Head::BIRTH)?);
    let sums = SumsRecord { generation: 1, ..found.sums.clone() };
    let mut batch = Batch::default();
    batch.put(SumsRecord::key(()), stored::write(&sums));
    let fence = inner.take_over(None)?;
    inner.commit(fence, &[batch])?;
    Ok(sums)
}

/// The head may be behind what is stored by whole batches, whose reports continue its chains.
fn compare_head(
    sums: &SumsRecord,
    head: Found,
    found: &Survey,
    places: &Places,
) -> Result<(), StoreError> {
    let (head, behind) = match head {
        Found::At(head) => (head, false),
        Found::After(head) => (head, true),
        Found::Absent => {
            return Err(damaged(&places.head, "it is missing, although the store has sums"));
        }
        Found::Malformed => return Err(damaged(&places.head, "it is not as it was written")),
    };
    if head.generation > sums.generation {
        let reports = head.chains[0].count.saturating_sub(survey::chain(sums, 0).count);
        let reason = format!(
            "it is older than {}: {} commits are missing at its end, with {reports} accepted \
             reports",
            places.head.display(),
            head.generation - sums.generation
        );
        return Err(damaged(&places.engine, &reason));
    }
    if behind && head.generation == sums.generation {
        return Err(damaged(&places.head, "one of its two halves is not as it was written"));
    }
    if head.generation == sums.generation && head.sums != Sha256::of(&stored::write(sums)) {
        let reason = format!("it is not what {} belongs to", places.head.display());
        return Err(damaged(&places.engine, &reason));
    }
    for (place, chain) in head.chains.iter().enumerate() {
        if found.heads[place] != Some(chain.head) {
            let reason = format!(
                "its reports do not continue those that {} knows of (up to number {})",
                places.head.display(),
                chain.count
            );
            return Err(damaged(&places.engine, &reason));
        }
    }
    Ok(())
}

pub(super) fn damaged(path: &Path, reason: &str) -> StoreError {
    StoreError::Damaged { path: path.display().to_string(), reason: reason.to_owned() }
}

fn refused(key: &[u8], reason: &str) -> StoreError {
    let path = format!("key {}", key.escape_ascii());
    StoreError::Io { action: "write", path, reason: reason.to_owned() }
}
