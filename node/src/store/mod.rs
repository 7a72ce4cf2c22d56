//! The embedded databases behind the port `Store`.

mod convert;
mod database_store;
mod engine;
mod layout;
mod redb_store;
mod sled_store;
mod synchronous;

#[cfg(test)]
pub mod conformance;
#[cfg(test)]
mod conformance_test;
#[cfg(test)]
mod convert_test;
#[cfg(test)]
mod flip_tests;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod power_load;
#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod sync_tests;

pub use convert::{ConvertError, Converted, convert};
pub use database_store::{DatabaseStore, StoreOptions};
pub use engine::{Engine, expect_no_other};
pub use layout::{MAX_KEY, MAX_VALUE};
pub use redb_store::RedbStore;
pub use sled_store::SledStore;
