use core::time::Duration;

use super::Property;
use crate::cluster::sight::Sight;
use crate::cluster::world::Node;

/// What was received of a log and is not written yet is at most a few frames: flow control holds
/// the rest back at the worker.
pub(super) struct MemoryIsBounded;

/// Four frames of a log.
const HELD_BYTES_MAX: u64 = 4 * (64 << 10);

impl Property for MemoryIsBounded {
    fn name(&self) -> &'static str {
        "memory_is_bounded"
    }

    fn see(&mut self, _: Duration, _: Node, sight: &Sight) -> Result<(), String> {
        match sight {
            Sight::Held(attempt, bytes) if *bytes > HELD_BYTES_MAX => {
                Err(format!("{bytes} bytes of the log of attempt {attempt} wait in memory"))
            }
            _ => Ok(()),
        }
    }
}
