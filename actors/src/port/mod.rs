//! The seams: what the actors need of the world, each given to them in a constructor.

mod backend;
mod blobs;
mod blocking;
mod clock;
mod contents;
mod entropy;
mod index;
mod name;
mod network;
mod parts;
mod signer;
mod spool;
mod store;

pub use backend::{Backend, Difference, Progress};
pub use blobs::{BlobError, BlobName, Blobs};
pub use blocking::Blocking;
pub use clock::{Clock, Monotonic};
pub use contents::{Contents, Slice, Source, collect_slice};
pub use entropy::Entropy;
pub use index::{Doubt, Group, IndexError, IndexRead, IndexReader, KeptRelease, Unread};
pub use name::is_plain_name;
pub use network::{
    CloseReason, ConnectError, Connection, FrameReceive, FrameSend, FrameStreams, Network,
    StreamError,
};
pub use parts::{Parts, collect_parts};
pub use signer::Signer;
pub use spool::{Spool, SpoolError};
pub use store::{
    Batch, Fence, Op, ReadStore, Snapshot, Store, StoreError, StoreOwner, StoreRead, StoreReader,
};

/// A boxed future, so that ports can be trait objects.
pub type BoxFuture<'a, T> = core::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
