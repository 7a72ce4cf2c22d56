//! Rebuilds with a program of the operator's, as the peer's backends do.

mod keeper;
mod process;
mod script_backend;

pub use keeper::Containment;
pub use script_backend::{ScriptBackend, ScriptSettings};
