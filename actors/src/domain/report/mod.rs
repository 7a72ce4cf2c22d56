//! Reports of workers: signed, verified, judged and countersigned.
//!
//! A report *is* a DSSE envelope around an in-toto Statement: there is one signature over
//! everything that a worker says, and no second copy of any of it. Beside it travels one in-toto
//! link per reproduced artifact, in the older form that the peer's clients read.
//!
//! Invariants:
//! - signed bytes are made once, by [`sign`], and never encoded again; a countersignature leaves
//!   them as they are, byte for byte;
//! - a [`VerifiedReport`] comes out of [`verify`] only, so a report that nobody verified cannot be
//!   accepted by mistake;
//! - a verdict is nowhere in a report: the coordinator computes it from the signed digests
//!   ([`VerifiedReport::judge`]).
//!
//! Absent on purpose: whether the attempt was leased to the key, and whether job, index trust and
//! artifacts are those of the assignment. The queue knows that and compares it with
//! [`VerifiedReport::report`].

mod attempt_report;
mod envelope;
mod error;
mod index_record;
mod judge;
mod known_key;
mod link;
mod outcome;
mod pem;
mod predicate;
mod sign;
mod statement;
mod verify;

#[cfg(test)]
mod foreign_test;
#[cfg(test)]
mod golden_test;
#[cfg(test)]
mod judge_test;
#[cfg(test)]
mod test_data;
#[cfg(test)]
mod verify_test;

pub use attempt_report::{AttemptReport, LogDigest};
pub use envelope::{PAYLOAD_TYPE, STATEMENT_BYTES_MAX};
pub use error::ReportError;
pub use judge::{Judgement, judge};
pub use known_key::{KnownKey, key_id};
pub use link::{LINK_BYTES_MAX, LINKS_MAX, countersign_link};
pub use outcome::outcome;
pub use pem::{public_key_from_pem, public_key_pem, public_key_pem_legacy};
pub use sign::{sign, sign_verified};
pub use statement::{
    ARTIFACTS_MAX, FILE_BYTES_MAX, PREDICATE_TYPE, PREDICATE_TYPE_SANDBOX, STATEMENT_TYPE,
    TEXT_BYTES_MAX,
};
pub use verify::{
    VerifiedReport, verify, verify_and_countersign, verify_countersigned, verify_known,
};
