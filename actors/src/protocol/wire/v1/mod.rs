//! Version 1 of the messages after [`super::Welcome`].
//!
//! A worker and the coordinator talk on the first stream. Logs and differences go over streams of
//! their own ([`upload`]). Each question of ctl is a stream of its own ([`ctl`]).

pub mod coordinator;
pub mod ctl;
pub mod history;
pub mod upload;
pub mod worker;

#[cfg(test)]
mod golden_test;
