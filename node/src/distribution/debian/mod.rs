//! Debian, and distributions that are laid out like it.

pub mod format;
pub(crate) mod records;
