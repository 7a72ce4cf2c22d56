//! Debian's formats: control files and the names in them.
//!
//! One rule for each, whoever reads: what the index admits, the backend takes.

mod buildinfo;
pub(crate) mod control;
mod deb;
mod dsc;
mod environment;
pub(crate) mod names;
pub(crate) mod paragraph;
pub(crate) mod signed;

pub use buildinfo::{Buildinfo, Installed};
pub(crate) use deb::identity;
#[cfg(test)]
pub(crate) use deb::made;
pub use dsc::{ControlError, SourceControl, SourceFile};
pub(crate) use dsc::{checksum, checksum_by};
pub use names::InvalidName;
pub(crate) use paragraph::Paragraph;
pub use paragraph::ParseParagraphError;
