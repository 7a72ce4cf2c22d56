use std::collections::BTreeSet;
use std::sync::Arc;

use rebuilder_actors::domain::queue::Event;
use rebuilder_actors::port::Group;
use rebuilder_actors::protocol::{IndexState, Sha256};

use super::calendar::Happening;
use super::packages::{PROFILES, Published};
use super::trouble::Trouble;
use super::world::{HOUR, MINUTE, World};

/// What a profile read, on its way to the queue in parts.
#[derive(Debug)]
pub(super) struct Reading {
    number: u64,
    groups: Vec<Arc<Published>>,
    /// Handed over so far.
    handed: usize,
    /// Breaks off before so many; `None`: it does not.
    breaks_at: Option<usize>,
}

/// Groups of a part.
const PAGE: usize = 7;

impl World {
    /// A profile looks at its index.
    pub(super) fn sync(&mut self, profile: usize) {
        let rest = self.random.of(HOUR..6 * HOUR);
        self.sync_number += 1;
        let number = self.sync_number;
        if self.trouble {
            // It looks again even if this read comes to nothing.
            self.after(rest, Happening::Sync(profile));
        }
        if self.coordinator.is_none() {
            return;
        }
        if self.now < self.outage_until {
            self.note("mirror", || format!("does not answer profile {}", PROFILES[profile]));
            return;
        }
        let named = self.packages.iter().filter(|package| package.profiles[profile]);
        let groups: Vec<_> = named.map(|package| package.published(profile)).collect();
        let strength = self.strength(Trouble::HalfSync);
        let breaks = strength > 0 && self.random.percent(10 * strength);
        let breaks_at = breaks.then(|| self.random.index(groups.len() + 1));
        self.reading[profile] = Some(Reading { number, groups, handed: 0, breaks_at });
        self.coordinator_handles(Event::SyncBegan { profile: PROFILES[profile].into() });
        self.after(1, Happening::Page(profile, number));
    }

    /// Hands over the next part, or says that it was the last.
    pub(super) fn page(&mut self, profile: usize, number: u64) {
        let Some(reading) = &mut self.reading[profile] else { return };
        if reading.number != number || self.coordinator.is_none() {
            return;
        }
        if reading.breaks_at.is_some_and(|at| at <= reading.handed) {
            self.reading[profile] = None;
            let name = PROFILES[profile];
            self.note("coordinator", || format!("the hand-over of profile {name} broke off"));
            return;
        }
        let to = (reading.handed + PAGE).min(reading.groups.len());
        let groups = reading.groups[reading.handed..to].iter();
        let groups: Vec<Group> = groups.map(|published| published.group.clone()).collect();
        reading.handed = to;
        let name: Box<str> = PROFILES[profile].into();
        if groups.is_empty() {
            self.index_read(profile);
            return;
        }
        self.coordinator_handles(Event::SyncPage { profile: name, groups });
        let delay = self.random.of(1..2000);
        self.after(delay, Happening::Page(profile, number));
    }

    fn index_read(&mut self, profile: usize) {
        let Some(Reading { groups, .. }) = self.reading[profile].take() else { return };
        let named: BTreeSet<_> = groups.iter().map(|published| published.key.clone()).collect();
        let named = Arc::new(named);
        let text = named.iter().map(|k| format!("{} {};", k.source, k.version));
        let settings = Sha256::of(text.collect::<String>().as_bytes());
        let index = IndexState { releases: Vec::new(), settings };
        let profile_name: Box<str> = PROFILES[profile].into();
        self.named = Some((profile_name.clone(), named.clone()));
        self.coordinator_handles(Event::SyncEnded { profile: profile_name, index, took_ms: 1 });
        self.named = None;
        self.published[profile] = named;
    }

    /// The mirror answers nobody for a while.
    pub(super) fn outage(&mut self) {
        self.outage_until = self.now + self.random.of(10 * MINUTE..8 * HOUR);
        let hours = (self.outage_until - self.now) / HOUR;
        self.note("mirror", || format!("answers nobody for about {hours} hours"));
    }
}
