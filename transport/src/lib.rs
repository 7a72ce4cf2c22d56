//! The network port over QUIC: identities, TLS, frames as bytes, flow control.
//!
//! [`Quic`] takes its socket, timers, entropy, clock and keys from its constructor, so the same
//! code runs over a simulated network. The feature `system` adds what production needs: real
//! sockets and name resolution ([`system`]) and files of private keys ([`key_file`]).
#![forbid(unsafe_code)]

mod acceptor;
mod close;
pub mod codes;
mod connection;
pub mod crypto;
mod dial;
mod endpoint;
mod frame;
mod identity;
#[cfg(feature = "system")]
pub mod key_file;
mod limits;
mod quic_config;
mod resolver;
mod secrets;
mod stream;
#[cfg(feature = "system")]
pub mod system;
mod timer;
mod tls;

pub use endpoint::{EndpointError, EndpointParts, Quic};
pub use identity::{Identity, NotAKey, SPKI_LEN, decode_spki, encode_spki};
pub use limits::Limits;
pub use resolver::Resolver;
