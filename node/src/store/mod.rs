//! The embedded databases behind the port `Store`.

mod catch_panic;
mod checked;
mod convert;
mod database_store;
mod engine;
mod fence;
mod head;
mod layout;
mod opening;
mod redb_store;
mod room;
mod sled_reader;
mod sled_store;
mod summed;
mod sums;
mod survey;
mod synchronous;
mod versions;

#[cfg(test)]
mod checked_test;
#[cfg(test)]
pub mod conformance;
#[cfg(test)]
mod conformance_test;
#[cfg(test)]
mod convert_test;
#[cfg(test)]
mod flip_test;
#[cfg(test)]
mod kill_test;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod power_load;
#[cfg(test)]
mod power_test;
#[cfg(test)]
mod sync_test;

pub use convert::{ConvertError, Converted, convert};
pub use database_store::{DatabaseStore, StoreOptions};
pub use engine::{Engine, expect_no_other};
pub use layout::{MAX_KEY, MAX_VALUE};
pub use opening::{HEAD, open, open_unchecked};
pub use redb_store::RedbStore;
pub use room::RoomStore;
pub use sled_store::SledStore;
