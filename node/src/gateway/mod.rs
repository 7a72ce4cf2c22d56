//! What is told over HTTP: whether the coordinator lives, and figures for those who watch it. It is
//! a view of what readers are shown; its end or a hostile request never touches work.

mod figures;
mod gather;
mod limits;
mod routes;
mod server;

#[cfg(test)]
mod server_test;

pub use limits::HttpLimits;
pub use routes::routes;
pub use server::{Bound, Gateway, GatewayError};
