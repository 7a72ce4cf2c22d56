use core::time::Duration;

use rebuilder_actors::protocol::wire::v1::coordinator::Answer;
use rebuilder_actors::protocol::{AttemptId, FaultKind, Verdict};

/// What only the cluster sees: frames as they leave and arrive, what builders did, what waits in
/// memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterEvent {
    /// The coordinator gave an assignment to its connection.
    AssignLeft(AttemptId),
    /// The coordinator gave a final answer to its connection.
    AnswerLeft(AttemptId, Answer),
    /// An assignment arrived at this worker.
    AssignArrived(usize, AttemptId),
    /// This worker told what occupies its slots; at its start nothing does.
    Occupied(usize, Vec<AttemptId>),
    /// The coordinator closed the connection of this worker because places are short.
    TurnedAway(usize),
    /// The coordinator's queue handled a status of this connection, at this age of the world.
    StatusHandled(u64, Duration),
    /// A hostile worker was told to stop an attempt, of which it tells all the time.
    ToldToStop(usize, u64, AttemptId),
    /// A hostile worker has not read for so long, and its connection is there.
    StillThere(Duration),
    /// A process took the coordinator's store over, with this token.
    TookOver(u64),
    /// Batches of a process with this token reached the coordinator's store.
    Wrote(u64),
    /// A worker's builder began.
    Began(AttemptId),
    /// A worker's builder ended, and what it truly made; false: it lies about it.
    Made(AttemptId, Made, bool),
}

/// What a builder truly made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// Files, and how each compares with the published one.
    Files(Vec<(Box<str>, Verdict)>),
    /// The build failed.
    Failed,
    /// A machine failed.
    Fault(FaultKind),
}
