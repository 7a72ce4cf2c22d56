use core::time::Duration;
use rebuilder_actors::domain::queue::{Effects, Event, Now, Settings};
use std::collections::BTreeMap;
pub(super) struct Oracle;
impl Oracle {
    pub(super) fn new(_: &BTreeMap<Vec<u8>, Vec<u8>>, _: &Settings, _: Now) -> Self {
        Self
    }
    pub(super) fn compare(
        &mut self,
        _: Now,
        _: Event,
        _: &Effects,
        _: Option<Duration>,
    ) -> Result<(), String> {
        Ok(())
    }
}
