use std::collections::BTreeSet;

use rebuilder_actors::protocol::AttemptId;

use super::Property;
use crate::cluster::event::ClusterEvent;

/// A worker that tells all the time of attempts which it does not have is told once to stop each
/// of them: anything more would wait for as long as it does not read.
#[derive(Default)]
pub(super) struct OrdersToStopComeOnce {
    told: BTreeSet<(usize, u64, AttemptId)>,
}

impl Property for OrdersToStopComeOnce {
    fn name(&self) -> &'static str {
        "orders_to_stop_come_once"
    }

    fn see(&mut self, event: &ClusterEvent) -> Result<(), String> {
        match event {
            ClusterEvent::ToldToStop(worker, connection, attempt) => {
                if self.told.insert((*worker, *connection, *attempt)) {
                    return Ok(());
                }
                Err(format!("hostile-{worker} was told twice to stop {attempt}"))
            }
            _ => Ok(()),
        }
    }
}
