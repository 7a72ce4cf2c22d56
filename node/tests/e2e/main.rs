//! The whole system for real: `rebuilder-node` as a program, with the index of an archive made here
//! by the real tools, real builds on base roots from this machine's mirror, and `rebuilder-ctl`.
//!
//! `cargo build -p rebuilder-ctl` comes first. The reference root in which packages are built the
//! first time is kept below the target folder, or where `REBUILDER_TEST_CACHE` says.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]
#![expect(clippy::print_stdout, reason = "which check runs, and for how long, is for reading")]

mod altered;
mod archive;
mod attestation;
mod checks;
mod hidden;
mod node;
mod package;
mod recorded;
mod reference;
mod refused;
mod scene;
mod script;
mod server;
mod tools;
