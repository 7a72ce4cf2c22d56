use bytes::Bytes;
use std::sync::Arc;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets `key` to `value`.
    Put {
        /// At most 256 bytes.
        key: Bytes,
        /// At most 1 MiB; larger things are blobs.
        value: Bytes,
    },
    /// Removes `key`; nothing happens when it is absent.
    Delete {
        /// At most 256 bytes.
        key: Bytes,
    },
}

/// Changes that happen together or not at all, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<Op>);

impl Batch {
    /// Adds a put.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push(Op::Put { key: key.into(), value: value.into() });
    }

    /// Adds a delete.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.0.push(Op::Delete { key: key.into() });
    }

    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads an ordered map of bytes. (Schema and encoding of keys and values: `protocol::stored`.)
pub trait StoreRead {
    /// The value at `key`.
    ///
    /// # Errors
    /// The medium failed or its content is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Calls `visit` for each key that starts with `prefix` and is not before `from` (given whole,
    /// prefix included), in byte order, until it returns false.
    ///
    /// # Errors
    /// The medium failed or its content is damaged.
    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError>;

    /// The file or folder that holds it, for errors. Required, so that no wrapper forgets to ask
    /// the store that it is around.
    fn place(&self) -> String;
}

/// An ordered map of bytes on something that survives. Synchronous; written by one owner, which
/// runs where it may block and reads what it wrote last.
pub trait Store: StoreRead + Send + 'static {
    /// Takes the store over: commits with an older token fail from here on, whatever opening they
    /// come from. Durable on `Ok`. `held` is the token of this process before it opened the store
    /// again; `None`: it had none. Of two processes that take the store over the later one has it.
    ///
    /// # Errors
    /// `TakenOver` when the store is no longer `held`'s: another process has it. Those of the
    /// medium.
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError>;

    /// Applies every batch atomically, each for itself, in order. `Ok` means that all are durable:
    /// they survive a power cut.
    ///
    /// # Errors
    /// `TakenOver`: another opening has a newer token than `fence`; nothing was applied. Otherwise
    /// nothing is known about the batches: some may be applied. The owner stops and reopens.
    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError>;

    /// A way to read beside the owner, on any thread. See [`ReadStore`].
    fn reader(&self) -> StoreReader;
}

/// Reads a store beside its owner, and waits neither for what the owner has to do nor for the disk
/// to sync; nor does the owner wait for a reader that is slow.
///
/// One call sees one moment: every batch that was acknowledged before the call began, no batch in
/// part, and nothing that is not durable. (So nothing that a reader is told can be undone by a
/// power cut.) After a failed commit a call sees what was acknowledged before it, or is an error.
/// When the owner is gone every call is an error.
pub trait ReadStore: StoreRead + Send + Sync + 'static {
    /// All of the store at one moment, for as long as it is kept. To be dropped soon: what changes
    /// meanwhile is kept twice.
    ///
    /// # Errors
    /// As those of reading. One that was kept while too much changed is given up: its calls are
    /// errors then.
    fn snapshot(&self) -> Result<Snapshot, StoreError>;
}

/// Clones share it.
pub type StoreReader = Arc<dyn ReadStore>;

/// A store at one moment.
pub type Snapshot = Box<dyn StoreRead + Send + Sync>;

/// The token of whoever took a store over. It only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// A store and the token of its owner: nobody commits without having taken it over.
#[derive(Debug)]
pub struct StoreOwner<S: Store> {
    store: S,
    fence: Fence,
}

impl<S: Store> StoreOwner<S> {
    /// Takes `store` over; `held` as in [`Store::take_over`].
    ///
    /// # Errors
    /// See there.
    pub fn take(mut store: S, held: Option<Fence>) -> Result<Self, StoreError> {
        let fence = store.take_over(held)?;
        Ok(Self { store, fence })
    }

    /// Its token.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// See [`Store::commit`].
    ///
    /// # Errors
    /// See there.
    pub fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        self.store.commit(self.fence, batches)
    }

    /// See [`Store::reader`].
    pub fn reader(&self) -> StoreReader {
        self.store.reader()
    }
}

impl<S: Store> core::ops::Deref for StoreOwner<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.store
    }
}

impl<S: Store> StoreRead for StoreOwner<S> {
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

impl<S: StoreRead + ?Sized> StoreRead for Box<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        (**self).get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        (**self).scan(prefix, from, visit)
    }

    fn place(&self) -> String {
        (**self).place()
    }
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn take_over(&mut self, held: Option<Fence>) -> Result<Fence, StoreError> {
        (**self).take_over(held)
    }

    fn commit(&mut self, fence: Fence, batches: &[Batch]) -> Result<(), StoreError> {
        (**self).commit(fence, batches)
    }

    fn reader(&self) -> StoreReader {
        (**self).reader()
    }
}

/// The store failed; its owner stops and the tree restarts from what is durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {reason}")]
    Io {
        /// "open", "write", "sync" …
        action: &'static str,
        /// File or folder.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Another process has the data directory open.
    #[error(
        "{path} is in use by another process{}",
        .pid.map(|p| format!(" (pid {p})")).unwrap_or_default()
    )]
    Locked {
        /// The data directory.
        path: String,
        /// `None` when the other process could not be told.
        pid: Option<u32>,
    },
    /// Written by a newer release.
    #[error(
        "{path} has schema version {found}; this release reads up to {known}: \
         upgrade rebuilder-node"
    )]
    Newer {
        /// The data directory.
        path: String,
        /// The version found.
        found: u32,
        /// The newest that this release knows.
        known: u32,
    },
    /// Another process took the store over; what it writes must not meet what this one writes.
    #[error(
        "another coordinator took over {path} (its token is {found}, ours was {held}); this one \
         ends: only one may run on a data directory"
    )]
    TakenOver {
        /// The store.
        path: String,
        /// The token that was held.
        held: u64,
        /// The one that is stored.
        found: u64,
    },
    /// Content that cannot be what was written.
    #[error(
        "{path} is damaged: {reason}; nothing was removed: restore the data directory from a \
         backup, or take over what is whole with `rebuilder-node check --salvage`"
    )]
    Damaged {
        /// File, folder or key.
        path: String,
        /// What is wrong.
        reason: String,
    },
}
