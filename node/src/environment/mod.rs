//! What environments of builds are made of, for every distribution: roots in which commands run one
//! after the other, base roots below them, fetched packages, the folders and limits of all that,
//! and how outputs are taken out.

mod base;
mod chroot;
mod folders;
mod limits;
mod outputs;
mod package_cache;
mod probe;

pub(crate) use base::{Base, Bases, Recipe, Renewal};
pub(crate) use chroot::{Chroot, Step, say};
pub use folders::Folders;
pub use limits::EnvironmentLimits;
pub(crate) use outputs::collect as collect_outputs;
pub(crate) use package_cache::{PackageCache, Wanted};
pub(crate) use probe::probe;
