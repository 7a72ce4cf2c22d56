//! Puts the real ports under the supervision trees: what a process is.

mod admin;
mod coordinator;
mod entropy;
mod error;
mod expected;
mod host;
mod own_key;
mod progress;
mod run;
mod secret;
mod signals;
mod table;
mod worker;

pub(crate) use admin::{COORDINATOR_KEY, KEYS, coordinator_public};
pub(crate) use coordinator::start as start_coordinator;
pub use error::{DAMAGED, RoleError};
pub use expected::Expected;
pub(crate) use own_key::check as check_key;
pub use run::{Options, run};
pub(crate) use secret::check_invitation;
pub(crate) use worker::PINNED as KNOWN_COORDINATOR;
