//! The worker: rebuilds what it is given, and loses no report.

mod connection;
pub mod link;
mod log;
mod order;
pub mod runner;
pub mod runners;
pub mod spool;
mod tree;
mod upload;

pub use connection::{Credentials, Secret};
pub use tree::{Message, Parts, Worker};
