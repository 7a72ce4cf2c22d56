use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::retry::RetryPolicy;
use crate::protocol::{AttemptLimits, PublicKey};

/// How the queue behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence after which a lease is lost.
    pub lease: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Wait before a new input is first tried.
    pub initial_delay: Duration,
    /// Different keys that must find a job reproduced.
    pub confirmations: u32,
    /// Shuffles jobs inside a day.
    pub seed: u64,
    /// Bounds of each attempt.
    pub limits: AttemptLimits,
    /// Who may become a worker.
    pub enrolment: EnrolmentRules,
    /// By profile; a profile that is not here has the default.
    pub profiles: BTreeMap<Box<str>, ProfilePolicy>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(900),
            retry: RetryPolicy::default(),
            initial_delay: Duration::ZERO,
            confirmations: 1,
            seed: 0,
            limits: AttemptLimits::default(),
            enrolment: EnrolmentRules::default(),
            profiles: BTreeMap::new(),
        }
    }
}

/// Who may become a worker. With nothing here only invitations admit.
#[derive(Clone, Debug)]
pub struct EnrolmentRules {
    /// The coordinator's own key, to which proofs are bound.
    pub coordinator: PublicKey,
    /// Keys that need no proof.
    pub authorized: BTreeSet<PublicKey>,
    /// `None`: no shared secret admits.
    pub signup_secret: Option<Vec<u8>>,
}

impl Default for EnrolmentRules {
    fn default() -> Self {
        let coordinator = PublicKey([0; 32]);
        Self { coordinator, authorized: BTreeSet::new(), signup_secret: None }
    }
}

/// What a profile asks of its jobs; a shared job takes the smallest priority and delay, all tags
/// and the largest limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfilePolicy {
    /// Priority of new jobs; `None`: 1.
    pub priority: Option<i32>,
    /// `None`: as in [`Settings`].
    pub initial_delay: Option<Duration>,
    /// `None`: as in [`Settings`].
    pub max_retries: Option<u32>,
    /// Tags that a worker must have.
    pub tags: Vec<String>,
    /// Whether a worker looks at every published file, see [`Assignment`].
    ///
    /// [`Assignment`]: crate::protocol::Assignment::check_published
    pub check_published: bool,
}

/// What the memberships of a job wish together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MergedPolicy {
    /// The smallest.
    pub(super) priority: i32,
    /// The smallest.
    pub(super) delay: Duration,
    /// The largest; `None`: no limit.
    pub(super) max_retries: Option<u32>,
}
