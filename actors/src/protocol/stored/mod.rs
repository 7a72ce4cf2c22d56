//! Records as they are stored, one file each: table, key, value, version, and what an earlier
//! release wrote.
//!
//! A key is one byte for the table, then the identity. A value is one byte for its version, then
//! postcard. Fields are never inserted into a value that exists: a change raises `VERSION`, keeps
//! the earlier shape for `upgrade`, and keeps its golden bytes as a test.

mod archives;
mod counters;
mod difference;
mod fence;
mod invitation;
mod job;
mod job_state;
mod key;
mod profile;
mod quarantine;
mod record;
#[cfg(test)]
mod record_test;
mod report;
mod signed_report;
mod spooled;
mod sums;
mod worker;

pub use archives::ArchivesRecord;
pub use counters::Counters;
pub use difference::DifferenceRecord;
pub use fence::FenceRecord;
pub use invitation::InvitationRecord;
pub use job::{JobRecord, Membership};
pub use job_state::{Grant, JobState, StoredPlace, Waiting};
pub use key::StoredKey;
pub use profile::ProfileRecord;
pub use quarantine::QuarantineRecord;
pub use record::{Record, RecordError, Versioned, body_of, entry, read, write};
pub use report::{Outcome, ReportRecord};
pub use spooled::{SpoolEntry, Spooled};
pub use sums::{ChainRecord, SumsRecord, TableSum};
pub use worker::{EnrolledBy, WorkerRecord};

use crate::protocol::SignedReport;

/// Every table, and what its records are called; in the order of `salvage` and of messages.
pub const TABLES: [(u8, &str); 12] = [
    table::<Counters>(),
    table::<JobRecord>(),
    table::<JobState>(),
    table::<WorkerRecord>(),
    table::<InvitationRecord>(),
    table::<ReportRecord>(),
    table::<SignedReport>(),
    table::<DifferenceRecord>(),
    table::<ProfileRecord>(),
    table::<ArchivesRecord>(),
    table::<QuarantineRecord>(),
    table::<SumsRecord>(),
];

const fn table<R: Record>() -> (u8, &'static str) {
    (R::TABLE, R::PLURAL)
}
