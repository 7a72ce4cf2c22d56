//! Records as they are stored: keys, and values that begin with a byte for their version.
//!
//! A key is one byte for the table, then the identity, numbers big-endian so that a scan is in
//! their order. Fields are never inserted into a record that exists: a change is a new version.

mod codec;
pub mod key;
pub mod v1;

pub use codec::{RecordError, read, write};
