//! Records of version 1.

mod job;
mod report;
mod sums;
mod worker;

pub use job::{
    ArchivesRecord, Counters, Grant, JobRecord, JobState, Membership, ProfileRecord, StoredPlace,
    Waiting,
};
pub use report::{DifferenceRecord, Outcome, QuarantineRecord, ReportRecord};
pub use sums::{ChainRecord, SumsRecord, TableSum};
pub use worker::{EnrolledBy, InvitationRecord, WorkerRecord};
