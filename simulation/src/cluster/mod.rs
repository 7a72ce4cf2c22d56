//! The cluster level: the production trees of a coordinator and its workers, over the production
//! transport with real QUIC and TLS, in one thread of virtual time.
//!
//! Every seam is filled: the network, the disks, the mirror, the builders, clocks and randomness.
//! A process ends when its [`world::Life`] does: from then on its seams do nothing, its actors are
//! killed, and its tasks end with the endpoint.

mod air;
mod blobs;
mod builder;
mod coordinator;
mod crypto;
mod ctl;
mod datagrams;
mod director;
mod fault;
mod machine;
mod medium;
mod mirror;
mod plan;
mod property;
mod random;
mod run;
mod sight;
mod spool;
mod store;
mod tap;
mod time;
mod witness;
mod worker;
mod world;

pub use fault::{Fault, UnknownFault, parse_faults};
pub use plan::{Options, Plan};
pub use run::{Outcome, run};

#[cfg(test)]
mod tests;
