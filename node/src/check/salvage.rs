//! Takes over everything of a damaged store that is whole by its own checks.

use std::fs;
use std::path::{Path, PathBuf};

use rebuilder_actors::port::{Batch, Clock as _, StoreError, StoreOwner};

use super::gather::Gathered;
use super::inspect;
use super::rebuilt::{Rebuilt, rebuild};
use super::work::{self, OPTIONS};
use super::{CheckError, Findings};
use crate::clock::SystemClock;
use crate::data_dir::{DataDir, io_error};
use crate::durable;
use crate::role::coordinator_public;
use crate::store::{self, Engine};

/// Records in one commit of the new store.
const RECORDS_A_COMMIT: usize = 500;

/// Makes a new store of what is whole, and puts it in the place of the old one, which is kept under
/// another name.
pub(super) fn run(dir: &DataDir, findings: &mut Findings) -> Result<(), CheckError> {
    let engine = Engine::of(dir);
    if !work::has_store(dir) {
        let text = format!("{} holds no store to salvage", dir.path().display());
        return Err(CheckError::Arguments(text));
    }
    let gathered = gather(dir, findings)?;
    let now = SystemClock::new().utc();
    let rebuilt = rebuild(gathered, coordinator_public(dir.path()), now);
    let Rebuilt { records, said, lost } = rebuilt;
    let fresh = DataDir::open(&work::folder(dir, "new"))?;
    let mut store = StoreOwner::take(store::open(engine, &fresh, OPTIONS)?, None)?;
    for records in records.chunks(RECORDS_A_COMMIT) {
        let mut batch = Batch::default();
        for (key, value) in records {
            batch.put(key.clone(), value.clone());
        }
        store.commit(&[batch])?;
    }
    drop(store);
    // What was made is checked as anything else is, blobs aside.
    let mut made = Findings::default();
    inspect::store(&*store::open(engine, &fresh, OPTIONS)?, dir, &mut made)?;
    let kept = swap(dir, &fresh)?;
    work::remove(dir)?;
    findings.said.extend(said);
    findings.said.extend(lost.into_iter().map(|lost| format!("not taken over: {lost}")));
    findings.said.extend(made.problems.into_iter().map(|problem| format!("still: {problem}")));
    findings.said.push(format!(
        "the damaged store is kept as {}: remove it when nothing of it is needed; the next sync \
         adds jobs that are gone",
        kept.display()
    ));
    Ok(())
}

/// What a copy of the store still gives: opened as it is, or without what the engine derived from
/// its log, or not at all.
fn gather(dir: &DataDir, findings: &mut Findings) -> Result<Gathered, CheckError> {
    for without_snapshots in [false, true] {
        let copy = work::copy(dir)?;
        if without_snapshots {
            remove_snapshots(&copy)?;
        }
        let opened = store::open_unchecked(Engine::of(dir), &copy, OPTIONS);
        let gathered = opened.map(|store| Gathered::of(&store));
        match gathered {
            Ok(gathered) if gathered.records() > 0 || without_snapshots => return Ok(gathered),
            Ok(_) => {}
            Err(error) => findings.said.push(format!("tried: {error}")),
        }
    }
    Ok(Gathered::default())
}

fn remove_snapshots(copy: &DataDir) -> Result<(), StoreError> {
    let folder = copy.join(Engine::of(copy).folder());
    for entry in fs::read_dir(&folder).map_err(|e| io_error("read", &folder, &e))? {
        let path = entry.map_err(|e| io_error("read", &folder, &e))?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"snap.")) {
            fs::remove_file(&path).map_err(|e| io_error("remove", &path, &e))?;
        }
    }
    Ok(())
}

/// Puts the store of `fresh` in the place of that of `dir`; returns the old one's new name.
fn swap(dir: &DataDir, fresh: &DataDir) -> Result<PathBuf, StoreError> {
    let engine = Engine::of(dir);
    let place = dir.join(engine.folder());
    let name = |number: u32| dir.join(&format!("{}.damaged-{number}", engine.folder()));
    let number = (1..).find(|number| !name(*number).exists()).expect("a number is free");
    let kept = name(number);
    let rename =
        |from: &Path, to: &Path| fs::rename(from, to).map_err(|e| io_error("rename", from, &e));
    rename(&place, &kept)?;
    let head = dir.join(store::HEAD);
    if head.exists() {
        rename(&head, &kept.join(store::HEAD))?;
    }
    rename(&fresh.join(store::HEAD), &head)?;
    rename(&fresh.join(engine.folder()), &place)?;
    durable::sync_dir(dir.path()).map_err(|e| io_error("sync", dir.path(), &e))?;
    dir.set_store_has_sums()?;
    Ok(kept)
}
