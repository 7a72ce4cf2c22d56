use core::net::SocketAddr;
use std::io;

use rebuilder_actors::port::BoxFuture;

/// Turns names into addresses.
pub trait Resolver: Send + Sync + 'static {
    /// Every address of `address` (`host:port`), best first.
    ///
    /// # Errors
    /// The name is unknown, or cannot be asked for now.
    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}
