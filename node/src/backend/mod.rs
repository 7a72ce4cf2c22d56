//! Rebuilds packages behind the port `Backend`.

mod backends;
mod compare;
mod difference;
pub(crate) mod faults;
pub(crate) mod matching;
mod rebuild;
pub(crate) mod record;
mod script;
mod shortage;
mod worker_facts;

pub use backends::{Backends, BackendsSetup};
pub use compare::{Comparison, Pair, compare};
pub use difference::{Diffoscope, DiffoscopeSettings};
pub use rebuild::{BuildError, BuildFacts, Rebuild, bounded, within};
pub use script::{Containment, ScriptBackend, ScriptSettings};
pub use shortage::{Found, decide};
pub use worker_facts::{architectures, disk_free, memory_available, memory_total};

#[cfg(test)]
mod backend_test;
#[cfg(test)]
pub(crate) mod testing;
