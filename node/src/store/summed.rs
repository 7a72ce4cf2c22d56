use bytes::Bytes;
use rebuilder_actors::port::{Batch, Fence, Store, StoreError};

/// Follows what a store changes, for a record that lies in the same atomic writes.
pub(super) trait Sums {
    /// One change of the next atomic write, each key once and in the order of the keys. `before`
    /// is the value that is stored, and `after` the one that will be; `None`: absent.
    ///
    /// # Errors
    /// The change is refused, and the whole write with it.
    fn change(
        &mut self,
        key: &[u8],
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> Result<(), StoreError>;

    /// The record that belongs to all changes so far, and its key; the next write begins. `None`:
    /// there is none.
    fn record(&mut self) -> Option<(Vec<u8>, Bytes)>;
}

/// A store that tells [`Sums`] what it changes. An engine reads what it replaces anyway, so that
/// nobody has to read it once more before.
pub(super) trait SummedStore: Store {
    /// As [`Store::commit`]; each of its atomic writes, which are batches or groups of them, has
    /// the record of `sums`.
    ///
    /// # Errors
    /// As [`Store::commit`], and those of `sums`.
    fn commit_summed(
        &mut self,
        fence: Fence,
        batches: &[Batch],
        sums: &mut dyn Sums,
    ) -> Result<(), StoreError>;
}

impl<S: SummedStore + ?Sized> SummedStore for Box<S> {
    fn commit_summed(
        &mut self,
        fence: Fence,
        batches: &[Batch],
        sums: &mut dyn Sums,
    ) -> Result<(), StoreError> {
        (**self).commit_summed(fence, batches, sums)
    }
}

/// Of an engine that is used alone: none.
pub(super) struct NoSums;

impl Sums for NoSums {
    fn change(&mut self, _: &[u8], _: Option<&[u8]>, _: Option<&[u8]>) -> Result<(), StoreError> {
        Ok(())
    }

    fn record(&mut self) -> Option<(Vec<u8>, Bytes)> {
        None
    }
}
