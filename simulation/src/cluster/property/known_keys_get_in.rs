use super::Property;
use crate::cluster::event::ClusterEvent;
use crate::cluster::worker::is_listed;

/// Whoever may work is never turned away because others have the places. Workers that are not
/// listed are strangers until they enrolled.
pub(super) struct KnownKeysGetIn;

impl Property for KnownKeysGetIn {
    fn name(&self) -> &'static str {
        "known_keys_get_in"
    }

    fn see(&mut self, event: &ClusterEvent) -> Result<(), String> {
        match event {
            ClusterEvent::TurnedAway(worker) if is_listed(*worker) => {
                Err(format!("worker-{worker} is listed, and was turned away"))
            }
            _ => Ok(()),
        }
    }
}
