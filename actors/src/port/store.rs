use bytes::Bytes;

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

/// An ordered map of bytes on something that survives. Synchronous; called by one owner, which
/// runs where it may block. (Schema and encoding of keys and values: `protocol::stored`.)
pub trait Store: Send + 'static {
    /// Applies every batch atomically, each for itself, in order. `Ok` means that all are durable:
    /// they survive a power cut.
    ///
    /// # Errors
    /// Nothing is known about the batches: some may be applied. The owner stops and reopens.
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError>;

    /// The value at `key`, as of the last commit.
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

impl<S: Store + ?Sized> Store for Box<S> {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        (**self).commit(batches)
    }

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
