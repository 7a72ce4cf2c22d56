//! What is told over HTTP: whether the coordinator lives, and figures for those who watch it. It is
//! a view of what readers are shown; its end or a hostile request never touches work.

mod accept;
mod admin;
mod at_door;
mod body;
mod compress;
mod cookie;
mod decode;
mod door;
mod figures;
mod gather;
mod limits;
mod path_query;
mod refusal;
mod routes;
mod server;

#[cfg(test)]
mod extract_test;
#[cfg(test)]
mod server_test;

pub use admin::Admin;
pub use body::Json;
pub(crate) use cookie::{COOKIE_CHARS_MAX, COOKIE_CHARS_MIN};
pub use cookie::{Cookie, CookieError};
pub use door::{Asked, Door};
pub use limits::HttpLimits;
pub use path_query::{Path, Query};
pub use refusal::Refusal;
pub use routes::routes;
pub use server::{Bound, Gateway, GatewayError};
