use super::Property;
use crate::cluster::sight::Sight;
use crate::cluster::worker::is_listed;

/// Whoever may work is never turned away because others have the places. Workers that are not
/// listed are strangers until they enrolled.
pub(super) struct KnownKeysGetIn;

impl Property for KnownKeysGetIn {
    fn name(&self) -> &'static str {
        "known_keys_get_in"
    }

    fn see(&mut self, sight: &Sight) -> Result<(), String> {
        match sight {
            Sight::TurnedAway(worker) if is_listed(*worker) => {
                Err(format!("worker-{worker} is listed, and was turned away"))
            }
            _ => Ok(()),
        }
    }
}
