use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::address::Origin;

/// Connections of each origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<BTreeMap<Origin, usize>>>);

/// A connection that is counted as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    origin: Origin,
}

impl Places {
    /// One more from `address`. `None`: it has `most` of them.
    pub(super) fn take(&self, address: IpAddr, most: usize) -> Option<Place> {
        let origin = Origin::of(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&origin).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        counts.insert(origin, count + 1);
        drop(counts);
        Some(Place { places: self.clone(), origin })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&self.origin).copied().unwrap_or(0);
        if count > 1 {
            counts.insert(self.origin, count - 1);
        } else {
            counts.remove(&self.origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_so_many_and_gives_them_back() {
        let places = Places::default();
        let take = |address: &str| places.take(address.parse().unwrap(), 2);
        let (a, b) = (take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap());
        assert!(take("192.0.2.1").is_none());
        let others = (take("192.0.2.2").unwrap(), take("2001:db8::1").unwrap());
        let same = take("2001:db8::2").unwrap();
        assert!(take("2001:db8::3").is_none(), "one network");
        drop(a);
        let again = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        drop((b, again, others, same));
        assert!(places.0.lock().unwrap().is_empty());
    }
}
