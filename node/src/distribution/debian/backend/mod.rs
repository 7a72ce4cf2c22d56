//! Rebuilds Debian packages: in the recorded environment of a `.buildinfo`, or in today's suite.
//!
//! Nothing here trusts what it reads: names are checked where they come in (`names`), packages of
//! the environment and of base roots come by the digests of signed lists (`packages`), and
//! everything that they or the source can run is run in the sandbox, which sees neither the network
//! nor the published files. Lists are read by the host's apt, in a sandbox too (`tools`).

mod ailment;
mod archives;
mod attempt;
mod bootstrap;
mod debian_backend;
mod install;
mod plan;
mod recorded;
mod settings;
mod snapshot;
mod source;
mod step;
mod tools;
mod wanted;

pub use debian_backend::DebianBackend;
pub(crate) use plan::native_architecture;
pub use settings::DebianSettings;
