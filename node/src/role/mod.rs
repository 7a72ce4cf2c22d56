//! Puts the real ports under the supervision trees: what a process is.

mod admin;
mod coordinator;
mod entropy;
mod error;
mod expected;
mod host;
mod progress;
mod run;
mod secret;
mod table;
mod worker;

pub use error::RoleError;
pub use expected::Expected;
pub use run::{Options, run};
