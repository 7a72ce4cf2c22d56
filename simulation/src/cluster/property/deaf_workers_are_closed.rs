use core::time::Duration;

use super::Property;
use crate::cluster::event::ClusterEvent;

/// A worker that does not read is closed in bounded time: what waits for it is given up.
pub(super) struct DeafWorkersAreClosed;

/// A minute for one frame, and what it takes to fill the way.
const MAX: Duration = Duration::from_secs(120);

impl Property for DeafWorkersAreClosed {
    fn name(&self) -> &'static str {
        "deaf_workers_are_closed"
    }

    fn see(&mut self, event: &ClusterEvent) -> Result<(), String> {
        match event {
            ClusterEvent::StillThere(unread) if *unread > MAX => {
                let secs = unread.as_secs();
                Err(format!("a worker that has not read for {secs} s is still connected"))
            }
            _ => Ok(()),
        }
    }
}
