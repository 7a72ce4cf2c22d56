//! What the link has the runners do.

use crate::protocol::{Assignment, AttemptId};

/// To the runners.
pub enum Order {
    /// Start an attempt.
    Start(Box<Assignment>),
    /// End an attempt, without a report.
    Stop(AttemptId),
    /// A report had its final answer; true: it was accepted.
    Answered(AttemptId, bool),
}
