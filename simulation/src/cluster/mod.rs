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
mod ending;
mod fault;
mod hostile;
mod machine;
mod medium;
mod mirror;
mod options;
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

use crate::level::Simulator;
use crate::plan::Level;
use fault::Fault;
use options::{MINUTES, Options, WORKERS_MAX};

/// How the command runs this level.
pub const SIMULATOR: Simulator = Simulator {
    level: Level::Cluster,
    workers_max: WORKERS_MAX,
    length_max: 10_000,
    length_usual: MINUTES,
    faults: || Fault::ALL.iter().map(|fault| (fault.name(), fault.about())).collect(),
    drawn: |plan| Options::draw(plan).faults.iter().map(|fault| fault.name().into()).collect(),
    run: run::run,
};

#[cfg(test)]
mod tests;
