use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::protocol::Sha256;
use crate::protocol::stored::QuarantineRecord;

/// Remembers, through restarts of an actor, which messages were being handled when it panicked.
/// A message that was there twice is set aside, so that it cannot stop the coordinator for ever.
#[derive(Debug, Default)]
pub struct Quarantine {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Begun and not ended, by digest: how often. One that ended is not here.
    begun: BTreeMap<Sha256, u8>,
    /// The one that is being handled, or was when the actor panicked.
    handling: Option<Sha256>,
    records: Vec<QuarantineRecord>,
    set_aside: u64,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Handle it.
    Try,
    /// It panicked twice.
    SetAside {
        /// True the first time: keep a record.
        first: bool,
    },
}

impl Quarantine {
    /// Panics after which a message is set aside.
    const PANICS_MAX: u8 = 2;
    /// Digests remembered; beyond it nothing more is counted, as something else is wrong.
    const DIGESTS_MAX: usize = 10_000;

    /// The message with this digest is about to be handled.
    pub fn begin(&self, digest: Sha256) -> Decision {
        let mut inner = self.lock();
        let full = inner.begun.len() >= Self::DIGESTS_MAX;
        match inner.begun.get_mut(&digest) {
            Some(panics) if *panics >= Self::PANICS_MAX => {
                let first = *panics == Self::PANICS_MAX;
                *panics = Self::PANICS_MAX + 1;
                Decision::SetAside { first }
            }
            Some(panics) => {
                *panics += 1;
                inner.handling = Some(digest);
                Decision::Try
            }
            None if full => Decision::Try,
            None => {
                inner.begun.insert(digest, 1);
                inner.handling = Some(digest);
                Decision::Try
            }
        }
    }

    /// It was handled without a panic.
    pub fn end(&self, digest: Sha256) {
        let mut inner = self.lock();
        inner.begun.remove(&digest);
        inner.handling = None;
    }

    /// True, once, when the actor died while it handled a message that will be set aside if it
    /// happens again: at most twice for each message. Such a restart says nothing about the actor.
    pub fn take_blame(&self) -> bool {
        self.lock().handling.take().is_some()
    }

    /// Keeps a record; returns its number, the first is 1 after those restored.
    pub fn keep(&self, record: QuarantineRecord) -> u64 {
        let mut inner = self.lock();
        inner.records.push(record);
        inner.set_aside += 1;
        inner.set_aside
    }

    /// Takes over records that were stored before.
    pub fn restore(&self, records: Vec<QuarantineRecord>, last: u64) {
        let mut inner = self.lock();
        inner.records = records;
        inner.set_aside = last;
    }

    /// All records, oldest first.
    pub fn records(&self) -> Vec<QuarantineRecord> {
        self.lock().records.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A panic while the lock is held cannot leave a map half changed.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_panics_set_a_message_aside_and_success_forgets_it() {
        let (bad, good) = (Sha256::of(b"bad"), Sha256::of(b"good"));
        let quarantine = Quarantine::default();
        assert_eq!(quarantine.begin(bad), Decision::Try);
        assert_eq!(quarantine.begin(bad), Decision::Try);
        assert_eq!(quarantine.begin(bad), Decision::SetAside { first: true });
        assert_eq!(quarantine.begin(bad), Decision::SetAside { first: false });
        for _ in 0..4 {
            assert_eq!(quarantine.begin(good), Decision::Try);
            quarantine.end(good);
        }
    }

    #[test]
    fn each_message_explains_two_deaths_and_no_more() {
        let quarantine = Quarantine::default();
        assert!(!quarantine.take_blame());
        for bad in [b"1", b"2", b"3"].map(|text| Sha256::of(text)) {
            for _ in 0..2 {
                assert_eq!(quarantine.begin(bad), Decision::Try);
                assert!(quarantine.take_blame() && !quarantine.take_blame());
            }
            assert_eq!(quarantine.begin(bad), Decision::SetAside { first: true });
            assert!(!quarantine.take_blame(), "it was not handled");
        }
        let good = Sha256::of(b"good");
        quarantine.begin(good);
        quarantine.end(good);
        assert!(!quarantine.take_blame());
    }
}
