use super::Property;
use crate::cluster::event::ClusterEvent;

/// Nothing is written to the store by a process that another one took it over from.
#[derive(Default)]
pub(super) struct OnlyTheOwnerWrites {
    owner: u64,
}

impl Property for OnlyTheOwnerWrites {
    fn name(&self) -> &'static str {
        "only_the_owner_writes"
    }

    fn see(&mut self, event: &ClusterEvent) -> Result<(), String> {
        let owner = self.owner;
        match event {
            ClusterEvent::TookOver(next) if *next <= owner => {
                Err(format!("token {next} was given out after {owner}"))
            }
            ClusterEvent::TookOver(next) => {
                self.owner = *next;
                Ok(())
            }
            ClusterEvent::Wrote(held) if *held != owner => {
                Err(format!("a process with token {held} wrote, the store is that of {owner}"))
            }
            _ => Ok(()),
        }
    }
}
