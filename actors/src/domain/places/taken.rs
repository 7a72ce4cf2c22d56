use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::{Origin, Standing};
use crate::domain::queue::SessionId;
use crate::planted::{self, Bug};
use crate::protocol::PublicKey;

/// How many connections there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    /// Of enrolled keys and strangers together. A farm behind one address is no abuse.
    pub places: usize,
    /// Of admin keys, beside those: an operator gets in whatever the others do.
    pub admins: usize,
    /// Of strangers, among `places`.
    pub strangers: usize,
    /// Of one key. An enrolled key's oldest one ends for a new one, a stranger is refused.
    pub key: usize,
    /// Of strangers at one [`Origin`].
    pub origin: usize,
}

impl Default for PlaceLimits {
    fn default() -> Self {
        Self {
            places: 4_096,
            // Scripts and people at the same time, each with a connection for a moment.
            admins: 256,
            // Each may cost half a mebibyte (docs/protocol.md).
            strangers: 512,
            // A worker has one, and those that died and were not noticed yet.
            key: 8,
            // Readers behind one address, each with a few connections.
            origin: 32,
        }
    }
}

/// Why a connection gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Every place has a known key.
    Full,
    /// Strangers have as many as they may.
    Strangers,
    /// The key has as many as it may.
    Key,
    /// The strangers of this address have as many as they may.
    Origin,
}

/// A connection that has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The connection that must end for it; `None`: there was a place.
    pub instead_of: Option<SessionId>,
}

/// The connections that have places, by what their keys are. Known keys get in; a stranger ends
/// for them where places are short.
#[derive(Debug)]
pub struct Places {
    limits: PlaceLimits,
    /// In the order in which they came.
    taken: BTreeMap<SessionId, Place>,
    keys: BTreeMap<PublicKey, BTreeSet<SessionId>>,
    /// Strangers by where they come from.
    origins: BTreeMap<Origin, BTreeSet<SessionId>>,
    admins: usize,
    strangers: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    key: PublicKey,
    origin: Origin,
    standing: Standing,
}

impl Places {
    /// All are free.
    pub fn new(limits: PlaceLimits) -> Self {
        let (taken, keys, origins) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { limits, taken, keys, origins, admins: 0, strangers: 0 }
    }

    /// The limits.
    pub fn limits(&self) -> &PlaceLimits {
        &self.limits
    }

    /// Connections that have a place.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// True when every place is free.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// A connection came whose peer proved `key`. Sessions are numbered as they come.
    ///
    /// # Errors
    /// It gets no place.
    pub fn arrive(
        &mut self,
        session: SessionId,
        key: PublicKey,
        address: IpAddr,
        standing: Standing,
    ) -> Result<Entry, Refusal> {
        let place = Place { key, origin: address.into(), standing };
        let instead_of = match standing {
            Standing::Admin if self.admins >= self.limits.admins => return Err(Refusal::Full),
            Standing::Admin => None,
            Standing::Enrolled => self.room_for_enrolled(&place)?,
            Standing::Stranger => self.room_for_stranger(&place)?,
        };
        if let Some(victim) = instead_of {
            self.leave(victim);
        }
        self.keys.entry(key).or_default().insert(session);
        self.taken.insert(session, place);
        self.count(session, &place, true);
        Ok(Entry { instead_of })
    }

    /// A stranger proved that it may work.
    pub fn enrolled(&mut self, session: SessionId) {
        let Some(mut place) = self.taken.get(&session).copied() else { return };
        if place.standing == Standing::Stranger {
            self.count(session, &place, false);
            place.standing = Standing::Enrolled;
            self.taken.insert(session, place);
        }
    }

    /// A connection ended; one without a place changes nothing.
    pub fn leave(&mut self, session: SessionId) {
        let Some(place) = self.taken.remove(&session) else { return };
        self.count(session, &place, false);
        if let Some(sessions) = self.keys.get_mut(&place.key) {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.keys.remove(&place.key);
            }
        }
    }

    fn room_for_enrolled(&self, place: &Place) -> Result<Option<SessionId>, Refusal> {
        // Those of an admin have places of their own; a key's standing may have changed.
        let shared = |session: &&SessionId| self.taken[session].standing != Standing::Admin;
        let mut own = self.keys.get(&place.key).into_iter().flatten().filter(shared);
        let (oldest, count) = (own.next().copied(), 1 + own.count());
        if oldest.is_some() && count >= self.limits.key {
            return Ok(oldest);
        }
        if self.shared() < self.limits.places {
            return Ok(None);
        }
        if planted::is(Bug::StrangersKeepPlaces) {
            return Err(Refusal::Full);
        }
        // Without strangers its own: of a farm that lost its network half the connections are dead.
        let stranger = self.busiest().map(|(_, victim)| victim);
        stranger.or(oldest).map(Some).ok_or(Refusal::Full)
    }

    fn room_for_stranger(&self, place: &Place) -> Result<Option<SessionId>, Refusal> {
        if self.keys.get(&place.key).is_some_and(|own| own.len() >= self.limits.key) {
            return Err(Refusal::Key);
        }
        let here = self.origins.get(&place.origin).map_or(0, BTreeSet::len);
        if here >= self.limits.origin {
            return Err(Refusal::Origin);
        }
        let full = self.shared() >= self.limits.places;
        if !full && self.strangers < self.limits.strangers {
            return Ok(None);
        }
        // Those of the busiest address make room, so that a few addresses cannot keep all others
        // out: a worker that enrols is a stranger too.
        let refusal = if full { Refusal::Full } else { Refusal::Strangers };
        let (count, victim) = self.busiest().ok_or(refusal)?;
        if count <= here + 1 { Err(refusal) } else { Ok(Some(victim)) }
    }

    /// Places taken of those that enrolled keys and strangers share.
    fn shared(&self) -> usize {
        self.taken.len() - self.admins
    }

    /// Of the address with the most strangers, how many it has and the one that came first.
    fn busiest(&self) -> Option<(usize, SessionId)> {
        let most = self.origins.values().filter_map(|sessions| {
            let first = *sessions.first()?;
            Some((sessions.len(), core::cmp::Reverse(first)))
        });
        most.max().map(|(count, first)| (count, first.0))
    }

    fn count(&mut self, session: SessionId, place: &Place, begins: bool) {
        let counted = match place.standing {
            Standing::Admin => &mut self.admins,
            Standing::Enrolled => return,
            Standing::Stranger => &mut self.strangers,
        };
        *counted = if begins { *counted + 1 } else { counted.saturating_sub(1) };
        if place.standing == Standing::Admin {
            return;
        }
        let sessions = self.origins.entry(place.origin).or_default();
        if begins {
            sessions.insert(session);
        } else {
            sessions.remove(&session);
        }
        if sessions.is_empty() {
            self.origins.remove(&place.origin);
        }
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full => "all places for connections are taken",
            Self::Strangers => "all places for keys without rights are taken",
            Self::Key => "this key has no rights here and has as many connections as it may",
            Self::Origin => {
                "keys without rights have as many connections from this address as they may"
            }
        })
    }
}

#[cfg(test)]
#[path = "taken_test.rs"]
mod tests;
