//! Debian, and distributions that are laid out like it.

pub mod backend;
mod distribution;
pub mod format;
pub mod index;
pub(crate) mod records;
mod settings;

pub(crate) use distribution::Debian;
pub use settings::DebianConfig;
