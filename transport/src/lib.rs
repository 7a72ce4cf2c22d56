//! The network port over QUIC: identities, TLS, frames as bytes, flow control.
#![forbid(unsafe_code)]
