//! The embedded database behind the port `Store`.

mod layout;
mod sled_store;
mod synchronous;

#[cfg(test)]
pub mod conformance;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod power_load;
#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod sync_tests;

pub use layout::{MAX_KEY, MAX_VALUE};
pub use sled_store::{SledStore, StoreOptions};
