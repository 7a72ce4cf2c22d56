//! What is told over HTTP: whether the coordinator lives, and figures for those who watch it. It is
//! a view of what readers are shown; its end or a hostile request never touches work.

mod accept;
mod address;
mod admin;
mod api;
mod at_door;
mod body;
mod compress;
mod cookie;
mod cors;
mod decode;
mod door;
mod figures;
mod gather;
mod limits;
mod lingering;
mod path;
mod path_query;
mod places;
mod rate;
mod refusal;
mod routes;
mod server;
mod stalled;

#[cfg(test)]
mod door_test;
#[cfg(test)]
mod extract_test;
#[cfg(test)]
mod server_test;

pub use address::Proxies;
pub use admin::Admin;
pub use body::Json;
pub(crate) use cookie::{COOKIE_CHARS_MAX, COOKIE_CHARS_MIN};
pub use cookie::{Cookie, CookieError};
pub use door::{Asked, Door, DoorSettings};
pub use limits::HttpLimits;
pub use path::Prefix;
pub use path_query::{Path, Query};
pub use refusal::Refusal;
pub use routes::routes;
pub use server::{Bound, Gateway, GatewayError};
