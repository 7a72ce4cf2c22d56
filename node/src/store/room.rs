use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::statvfs::statvfs;
use rebuilder_actors::port::{Batch, Fence, Store, StoreError, StoreRead, StoreReader};

/// A store that begins no commit while its disk is nearly full.
///
/// A commit that fails for a full disk leaves it unknown what was written, so that everything
/// restarts from the disk, which then fails again: nobody could read a result any more. A commit
/// that has not begun harms nothing. It waits, workers keep their reports meanwhile, and everything
/// that does not need it goes on.
pub struct RoomStore<S> {
    store: S,
    folder: PathBuf,
    /// Bytes that are missing; 0: there is room.
    missing: fn(&Path) -> u64,
    pause: Duration,
}

impl<S: Store> RoomStore<S> {
    /// Watches the disk of `folder`, which holds the store.
    pub fn new(store: S, folder: PathBuf) -> Self {
        Self { store, folder, missing, pause: PAUSE }
    }

    fn wait_for_room(&self) {
        let mut waited = 0_u32;
        loop {
            let missing = (self.missing)(&self.folder);
            if missing == 0 {
                break;
            }
            if waited.is_multiple_of(PAUSES_PER_LINE) {
                tracing::error!(
                    target: "rebuilder",
                    "the disk of {} is full: nothing is recorded until {missing} bytes more are \
                     free; results can be read",
                    self.folder.display()
                );
            }
            waited += 1;
            std::thread::sleep(self.pause);
        }
        if waited > 0 {
            tracing::info!(target: "rebuilder", "there is room again: recording goes on");
        }
    }
}

impl<S: Store> Store for RoomStore<S> {
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError> {
        self.store.take_over(held)
    }

    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        self.wait_for_room();
        self.store.commit(fence, batches)
    }

    fn reader(&self) -> StoreReader {
        self.store.reader()
    }
}

impl<S: Store> StoreRead for RoomStore<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.store.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.store.scan(prefix, from, visit)
    }

    fn place(&self) -> String {
        self.store.place()
    }
}

fn missing(folder: &Path) -> u64 {
    // A disk that cannot be asked is the commit's own trouble.
    let Ok(found) = statvfs(folder) else { return 0 };
    let unit = found.fragment_size();
    let (total, free) = (found.blocks() * unit, found.blocks_available() * unit);
    FREE_BYTES_MIN.min(total / 16).saturating_sub(free)
}

/// More than one group of commits writes, moved pages included. On a small disk a sixteenth of it.
const FREE_BYTES_MIN: u64 = 64 << 20;
/// How soon freed space is noticed.
const PAUSE: Duration = Duration::from_millis(500);
/// A line each minute.
const PAUSES_PER_LINE: u32 = 120;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::data_dir::DataDir;
    use crate::store::{Engine, StoreOptions, open};

    static MISSING: AtomicU64 = AtomicU64::new(2);

    #[test]
    fn a_commit_waits_for_room_and_reads_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path()).unwrap();
        let store = open(Engine::Sled, &dir, StoreOptions::default()).unwrap();
        let mut store = RoomStore::new(store, folder.path().to_owned());
        let fence = store.take_over(None).unwrap();
        // Whoever finds damage names the engine's file.
        assert!(store.place().starts_with(folder.path().to_str().unwrap()), "{}", store.place());
        let put = |key: &'static str| {
            let mut batch = Batch::default();
            batch.put(key, "value");
            [batch]
        };
        store.commit(fence, &put("before")).unwrap();
        store.missing = |_| MISSING.load(Ordering::SeqCst);
        store.pause = Duration::from_millis(5);
        assert_eq!(store.get(b"before").unwrap().as_deref(), Some(&b"value"[..]));
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                store.commit(fence, &put("after")).unwrap();
                done.send(()).unwrap();
            });
            assert!(is_done.recv_timeout(Duration::from_millis(300)).is_err());
            MISSING.store(1, Ordering::SeqCst);
            assert!(is_done.recv_timeout(Duration::from_millis(300)).is_err());
            MISSING.store(0, Ordering::SeqCst);
            is_done.recv_timeout(Duration::from_secs(60)).unwrap();
        });
        let mut found = 0;
        let count = &mut |_: &[u8], _: &[u8]| {
            found += 1;
            true
        };
        store.scan(b"", b"", count).unwrap();
        assert_eq!(found, 2);
    }
}
