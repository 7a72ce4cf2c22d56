//! Reads the signed indexes of Debian and of archives that are laid out like it.

mod apt;
mod cache;
mod checked;
mod download;
mod empty;
mod fetched;
mod group;
mod keyring;
mod packages;
mod plan;
mod reader;
mod release;
mod released;
mod settings;
mod sources;
mod text;
mod unread;
mod verify;

pub use apt::{AptError, AptSource, AptSources, Place, SignedBy, parse_folder};
pub use reader::DebianReader;
pub use settings::{AptPaths, DebianSettings};

pub use crate::index::{Environment, Release};

#[cfg(test)]
mod agreement_test;
#[cfg(test)]
mod bare_test;
#[cfg(test)]
mod checked_test;
#[cfg(test)]
mod corpus_test;
#[cfg(test)]
mod fuzz_test;
#[cfg(test)]
mod mirror_test;
#[cfg(test)]
mod odd_test;
#[cfg(test)]
mod places_test;
#[cfg(test)]
mod reader_test;
#[cfg(test)]
mod refusal_test;
