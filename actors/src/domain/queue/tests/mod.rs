//! One topic a file; all of them drive [`super::Queue::handle`] through [`harness::Harness`].

mod acceptance;
mod capabilities;
mod condition;
mod doubts;
mod enrolment;
mod faults;
pub(crate) mod harness;
mod knock;
mod lease;
mod memberships;
mod operate;
mod order;
mod restart;
mod retries;
mod slots;
mod stalls;
mod told;
mod whole;
