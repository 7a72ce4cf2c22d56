//! Fetches files by `http:`, `https:` and `file:` URL or absolute path, bounded and checked.

mod body;
mod error;
mod fetcher;
mod location;
mod place;
mod proxy;
mod redirect;

pub use error::FetchError;
pub use fetcher::{FetchLimits, Fetched, Fetcher, Validator};
pub use location::{local_path, percent_decode};
pub use proxy::Proxies;

#[cfg(test)]
mod fetch_test;
