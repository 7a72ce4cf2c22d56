//! What readers of published indexes have in common.

mod followed;
mod releases;

pub use followed::{Environment, Release};
pub use releases::Releases;
