use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::places::Standing;
use crate::protocol::PublicKey;

/// What each key is here, known before its connection is given a place. The queue decides who may
/// work; this follows it.
#[derive(Debug, Default)]
pub struct Standings {
    admins: Arc<BTreeSet<PublicKey>>,
    /// Keys that may work.
    enrolled: Mutex<BTreeSet<PublicKey>>,
}

impl Standings {
    /// `enrolled`: listed keys, and those whose record says that they were let in.
    pub fn new(admins: Arc<BTreeSet<PublicKey>>, enrolled: BTreeSet<PublicKey>) -> Self {
        Self { admins, enrolled: Mutex::new(enrolled) }
    }

    /// What this key is now.
    pub fn of(&self, key: &PublicKey) -> Standing {
        if self.admins.contains(key) {
            Standing::Admin
        } else if self.lock().contains(key) {
            Standing::Enrolled
        } else {
            Standing::Stranger
        }
    }

    /// The key was let in as a worker.
    pub fn enrol(&self, key: PublicKey) {
        self.lock().insert(key);
    }

    /// The key was revoked.
    pub fn forget(&self, key: &PublicKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<PublicKey>> {
        // A panic while the lock is held cannot leave a set half changed.
        self.enrolled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
