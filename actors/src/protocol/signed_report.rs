use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A report as it is sent, stored and served. The bytes are never encoded again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReport {
    /// DSSE envelope (JSON) around the in-toto Statement that is the report.
    pub statement: Bytes,
    /// One in-toto link for each reproduced file, in the order of the assignment.
    pub links: Vec<SignedLink>,
}

/// An in-toto link metablock for one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedLink {
    /// File name of the artifact that the link is about.
    pub file: Box<str>,
    /// The metablock (JSON), as the peer's clients read it.
    pub metablock: Bytes,
}
