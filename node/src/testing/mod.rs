//! Only for tests.

mod full_disk_test;
pub mod power_cut;
mod words;

pub use words::disk_full;
