//! The embedded database behind the port `Store`.
