//! The coordinator: owns packages, queue and results.

mod answer;
mod attempts;
pub mod blobs;
pub mod endpoint;
pub mod feed;
mod gc;
mod matches;
pub mod outbox;
mod quarantine;
pub mod queue;
mod reader;
pub mod receiver;
mod refusals;
mod report;
mod request;
pub mod results;
mod services;
pub mod session;
pub mod sessions;
mod standings;
pub mod store;
pub mod sync;
pub mod syncs;
mod tree;
mod turn;
mod upload;
mod views;
pub mod watched;

pub use quarantine::{Decision as QuarantineDecision, Quarantine};
pub use refusals::{Kind as RefusalKind, Refusals};
pub use services::{Blob, Gone, Services};
pub use standings::Standings;

pub use super::open::Open;
pub use tree::{Coordinator, Message, Parts, services};
pub use turn::Reading;
pub use views::{AskError, Published, Views};
