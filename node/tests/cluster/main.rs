//! Coordinator, workers and ctl as they are shipped: real processes, real reports, real kills;
//! where the network is cut, in network namespaces of their own. Builds are done by a script, so
//! that they are quick and end when the test says so.
//!
//! Needs root, and `rebuilder-ctl` beside `rebuilder-node`: `cargo build -p rebuilder-ctl` first.

#![expect(clippy::disallowed_macros, reason = "every `tokio::select!` here begins with `biased;`")]
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]
#![expect(clippy::print_stderr, reason = "a failed test shows what its processes said")]

mod archive;
mod condition;
mod coordinator_killed;
mod ctl;
mod fencing;
mod gateway;
mod harness;
mod hostile;
mod inside;
mod latency;
mod link_cut;
mod logs;
mod memory;
mod namespaces;
mod node;
mod peer;
mod places;
mod quarantine;
mod readers;
mod refusals;
mod signals;
mod spool;
mod tools;
mod unread;
mod worker_killed;
