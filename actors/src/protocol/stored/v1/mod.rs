//! Records of version 1.

mod job;
mod report;
mod worker;

pub use job::{
    ArchivesRecord, Counters, Grant, JobRecord, JobState, Membership, Place, ProfileRecord, Waiting,
};
pub use report::{DifferenceRecord, Outcome, QuarantineRecord, ReportRecord};
pub use worker::{EnrolledBy, InvitationRecord, WorkerRecord};
