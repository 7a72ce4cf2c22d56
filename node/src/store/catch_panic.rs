use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rebuilder_actors::port::{
    Batch, Fence, ReadStore, Snapshot, Store, StoreError, StoreRead, StoreReader,
};

use super::checked::damaged;
use super::database_store::Visit;
use super::summed::{SummedStore, Sums};

/// An engine whose panics are errors: it panics where what it reads cannot be what it wrote.
#[derive(Debug)]
pub struct CatchPanic<S> {
    /// `None`: it panicked, and is not to be touched again. Its own end could panic, or wait for a
    /// thread that is gone, so that it has none.
    engine: Option<S>,
    /// Of the engine, named by errors in place of what the panic says of it.
    path: PathBuf,
}

impl<S: Store> CatchPanic<S> {
    /// Opens an engine whose file is `path`.
    ///
    /// # Errors
    /// Those of `open`; `Damaged` when it panics.
    pub fn open(
        path: &Path,
        open: impl FnOnce() -> Result<S, StoreError>,
    ) -> Result<Self, StoreError> {
        let opened = catch_unwind(AssertUnwindSafe(open));
        let engine = opened.unwrap_or_else(|panic| Err(error(path, &*panic)))?;
        Ok(Self { engine: Some(engine), path: path.to_owned() })
    }

    fn gone(&self) -> StoreError {
        damaged(&self.path, "the engine panicked when it was used before")
    }

    fn change<T>(
        &mut self,
        work: impl FnOnce(&mut S) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(engine) = &mut self.engine else { return Err(self.gone()) };
        let done = catch_unwind(AssertUnwindSafe(|| work(engine)));
        done.unwrap_or_else(|panic| {
            std::mem::forget(self.engine.take());
            Err(error(&self.path, &*panic))
        })
    }

    fn read<T>(&self, work: impl FnOnce(&S) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(engine) = &self.engine else { return Err(self.gone()) };
        caught(&self.path, || work(engine))
    }
}

fn caught<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|panic| Err(error(path, &*panic)))
}

/// A scan whose panics are errors; one of the visitor is none of the engine's, and goes on.
fn caught_scan(
    path: &Path,
    visit: &mut Visit<'_>,
    scan: impl FnOnce(&mut Visit<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut of_visitor = None;
    let scanned = caught(path, || {
        scan(&mut |key, value| {
            let seen = catch_unwind(AssertUnwindSafe(|| visit(key, value)));
            seen.unwrap_or_else(|panic| {
                of_visitor = Some(panic);
                false
            })
        })
    });
    match of_visitor {
        Some(panic) => resume_unwind(panic),
        None => scanned,
    }
}

impl<S: SummedStore> SummedStore for CatchPanic<S> {
    fn commit_summed(
        &mut self,
        fence: Fence,
        batches: &[Batch],
        sums: &mut dyn Sums,
    ) -> Result<(), StoreError> {
        self.change(|engine| engine.commit_summed(fence, batches, sums))
    }
}

impl<S: Store> Store for CatchPanic<S> {
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError> {
        self.change(|engine| engine.take_over(held))
    }

    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        self.change(|engine| engine.commit(fence, batches))
    }

    fn reader(&self) -> StoreReader {
        let inner = self.engine.as_ref().map(Store::reader);
        Arc::new(CaughtReader { inner, path: self.path.clone() })
    }
}

impl<S: Store> StoreRead for CatchPanic<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read(|engine| engine.get(key))
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let Some(engine) = &self.engine else { return Err(self.gone()) };
        caught_scan(&self.path, visit, |visit| engine.scan(prefix, from, visit))
    }

    fn place(&self) -> String {
        // Not the engine's: it may be gone.
        self.path.display().to_string()
    }
}

/// A reader of such an engine, or a snapshot of it: damage is an error to it, too.
struct CaughtReader<R> {
    /// `None`: the engine was gone before.
    inner: Option<R>,
    path: PathBuf,
}

impl<R> CaughtReader<R> {
    fn inner(&self) -> Result<&R, StoreError> {
        let reason = "the engine panicked when it was used before";
        self.inner.as_ref().ok_or_else(|| damaged(&self.path, reason))
    }
}

impl<R: Deref<Target: StoreRead>> StoreRead for CaughtReader<R> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let inner = self.inner()?;
        caught(&self.path, || inner.get(key))
    }

    fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let inner = self.inner()?;
        caught_scan(&self.path, visit, |visit| inner.scan(prefix, from, visit))
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

impl ReadStore for CaughtReader<StoreReader> {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let inner = self.inner()?;
        let snapshot = caught(&self.path, || inner.snapshot())?;
        Ok(Box::new(CaughtReader { inner: Some(snapshot), path: self.path.clone() }))
    }
}

fn error(path: &Path, panic: &(dyn Any + Send)) -> StoreError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
    let line: String = text.lines().next().unwrap_or_default().chars().take(300).collect();
    damaged(path, &format!("the engine panicked: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    #[derive(Debug)]
    struct Panics;

    impl Store for Panics {
        fn take_over(&mut self, _: Option<Fence>) -> Result<Fence, StoreError> {
            Ok(Fence(1))
        }

        fn commit(&mut self, _: Fence, _: &[Batch]) -> Result<(), StoreError> {
            panic!("page {} is torn", 7)
        }

        fn reader(&self) -> StoreReader {
            Arc::new(Self)
        }
    }

    impl ReadStore for Panics {
        fn snapshot(&self) -> Result<Snapshot, StoreError> {
            Ok(Box::new(Self))
        }
    }

    impl StoreRead for Panics {
        fn get(&self, _: &[u8]) -> Result<Option<Bytes>, StoreError> {
            panic!("corrupt")
        }

        fn scan(&self, _: &[u8], _: &[u8], _: &mut Visit<'_>) -> Result<(), StoreError> {
            panic!("corrupt")
        }

        fn place(&self) -> String {
            panic!("not asked")
        }
    }

    #[test]
    fn panics_of_the_engine_name_its_file() {
        let path = Path::new("/data/store/db");
        let opened = CatchPanic::<Panics>::open(path, || panic!("cannot parse"));
        assert_eq!(opened.unwrap_err(), damaged(path, "the engine panicked: cannot parse"));
        let mut store = CatchPanic::open(path, || Ok(Panics)).unwrap();
        let corrupt = damaged(path, "the engine panicked: corrupt");
        assert_eq!(store.get(b"k"), Err(corrupt.clone()));
        assert_eq!(store.scan(b"", b"", &mut |_, _| true), Err(corrupt.clone()));
        let reader = store.reader();
        assert_eq!(reader.get(b"k"), Err(corrupt.clone()));
        assert_eq!(reader.snapshot().unwrap().scan(b"", b"", &mut |_, _| true), Err(corrupt));
        let torn = damaged(path, "the engine panicked: page 7 is torn");
        assert_eq!(store.commit(Fence(1), &[]), Err(torn));
        assert!(store.get(b"k").unwrap_err().to_string().contains("used before"));
        assert!(store.reader().get(b"k").unwrap_err().to_string().contains("used before"));
        assert_eq!(store.place(), "/data/store/db");
    }

    #[test]
    fn a_panic_of_the_visitor_stays_one() {
        let mut store = CatchPanic::open(Path::new("db"), || Ok(Memory::default())).unwrap();
        let mut batch = Batch::default();
        batch.put(&b"k"[..], &b"v"[..]);
        let fence = store.take_over(None).unwrap();
        store.commit(fence, &[batch]).unwrap();
        let scan = || store.scan(b"", b"", &mut |_, _| panic!("ours"));
        let panic = catch_unwind(AssertUnwindSafe(scan)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"ours"));
    }
}
