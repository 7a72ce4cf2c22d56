//! Keys of the store.

use crate::protocol::{BuildId, InputId, PublicKey};

/// Tables, by their first byte. Never reused.
pub mod table {
    /// [`super::super::v1::Counters`], one record.
    pub const COUNTERS: u8 = b'c';
    /// [`super::super::v1::JobRecord`] by job.
    pub const JOB: u8 = b'j';
    /// [`super::super::v1::JobState`] by job.
    pub const STATE: u8 = b's';
    /// [`super::super::v1::WorkerRecord`] by key.
    pub const WORKER: u8 = b'w';
    /// [`super::super::v1::InvitationRecord`] by its number.
    pub const INVITATION: u8 = b'i';
    /// [`super::super::v1::ReportRecord`] by sequence.
    pub const REPORT: u8 = b'r';
    /// The signed bytes of a report by sequence.
    pub const SIGNED: u8 = b'b';
    /// [`super::super::v1::DifferenceRecord`] by build and file.
    pub const DIFFERENCE: u8 = b'd';
    /// [`super::super::v1::ProfileRecord`] by name.
    pub const PROFILE: u8 = b'p';
    /// [`super::super::v1::ArchivesRecord`] by number.
    pub const ARCHIVES: u8 = b'a';
    /// [`super::super::v1::QuarantineRecord`] by sequence.
    pub const QUARANTINE: u8 = b'q';
    /// [`super::super::v1::SumsRecord`], one record, which the store itself keeps: no reader of
    /// the other tables sees it.
    pub const SUMS: u8 = b'z';
}

/// The one record of counters.
pub fn counters() -> Vec<u8> {
    vec![table::COUNTERS]
}

/// The one record of sums.
pub fn sums() -> Vec<u8> {
    vec![table::SUMS]
}

/// A job's fixed part.
pub fn job(id: InputId) -> Vec<u8> {
    numbered(table::JOB, &id.0.to_be_bytes())
}

/// A job's changing part.
pub fn state(id: InputId) -> Vec<u8> {
    numbered(table::STATE, &id.0.to_be_bytes())
}

/// A worker.
pub fn worker(key: &PublicKey) -> Vec<u8> {
    numbered(table::WORKER, &key.0)
}

/// An invitation.
pub fn invitation(id: &[u8; 8]) -> Vec<u8> {
    numbered(table::INVITATION, id)
}

/// A report's summary.
pub fn report(sequence: u64) -> Vec<u8> {
    numbered(table::REPORT, &sequence.to_be_bytes())
}

/// A report's signed bytes.
pub fn signed(sequence: u64) -> Vec<u8> {
    numbered(table::SIGNED, &sequence.to_be_bytes())
}

/// A difference.
pub fn difference(build: BuildId, file: &str) -> Vec<u8> {
    let mut key = numbered(table::DIFFERENCE, &build.0.to_be_bytes());
    key.extend_from_slice(file.as_bytes());
    key
}

/// A profile.
pub fn profile(name: &str) -> Vec<u8> {
    numbered(table::PROFILE, name.as_bytes())
}

/// A set of archives.
pub fn archives(id: i32) -> Vec<u8> {
    numbered(table::ARCHIVES, &id.to_be_bytes())
}

/// A message set aside.
pub fn quarantine(sequence: u64) -> Vec<u8> {
    numbered(table::QUARANTINE, &sequence.to_be_bytes())
}

fn numbered(table: u8, identity: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + identity.len());
    key.push(table);
    key.extend_from_slice(identity);
    key
}
