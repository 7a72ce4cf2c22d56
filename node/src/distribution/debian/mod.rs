//! Debian, and distributions that are laid out like it.

pub mod backend;
pub mod format;
pub mod index;
pub(crate) mod records;
