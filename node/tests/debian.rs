//! Rebuilds real packages with the real tools: apt and dpkg in sandboxes, against the mirror that
//! this machine is configured for and archives of its own on the loopback.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]
#![expect(clippy::print_stdout, reason = "times are for reading")]

#[path = "debian/archive.rs"]
mod archive;
#[path = "debian/harness.rs"]
mod harness;
#[path = "debian/mirror.rs"]
mod mirror;

#[path = "debian/base.rs"]
mod base;
#[path = "debian/mmdebstrap.rs"]
mod mmdebstrap;
#[path = "debian/recorded.rs"]
mod recorded;
#[path = "debian/suite.rs"]
mod suite;
