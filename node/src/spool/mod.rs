//! Durable files behind the port `Spool`.

mod file_spool;

pub use file_spool::{FileSpool, damaged_entries};
