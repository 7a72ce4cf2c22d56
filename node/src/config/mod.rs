//! The configuration: one TOML file for every role, read once at the start.
//!
//! Each key is described in `docs/configuration.md`; a test holds the two together.

mod bounds;
mod confused;
mod coordinator;
mod error;
mod file;
mod gather;
mod http;
mod keys;
mod load;
mod plain;
mod profile;
mod secret;
mod summary;
pub(crate) mod value;
mod worker;

pub use bounds::Bounds;
pub use coordinator::CoordinatorConfig;
pub use error::{ConfigError, Invalid, Place, Problem};
pub use http::HttpConfig;
pub(crate) use keys::{keys, table};
pub use load::{Config, DEFAULT_PATH, Role};
pub use profile::ProfileConfig;
pub(crate) use profile::words;
pub use secret::Secret;
pub use worker::{WorkerConfig, WorkerEnrolment};

#[cfg(test)]
mod config_test;
#[cfg(test)]
mod docs_test;
#[cfg(test)]
mod faults_test;
#[cfg(test)]
mod messages_test;
