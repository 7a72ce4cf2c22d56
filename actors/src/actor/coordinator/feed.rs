//! What the queue made durable, for whoever subscribes: readers today, exports and the
//! transparency log later. The queue does not know who follows.

use std::sync::Arc;

use ractor::DerivedActorRef;

use super::views::Published;
use crate::domain::queue::Fact;

/// Facts that became durable, in this order. A new follower may be sent some that are told again
/// with all that the queue knows; one that was read from the store may come again, too.
#[derive(Debug)]
pub struct Facts {
    /// In the order in which they became durable.
    pub facts: Vec<Fact>,
    /// How many times facts were published, with these.
    pub number: u64,
    /// True for all that the queue knows: a new follower is sent that once.
    pub is_all: bool,
}

/// An actor that takes [`Facts`] beside its own messages.
pub type Follower = DerivedActorRef<Facts>;

/// All who follow. One that is gone is forgotten at the next facts.
#[derive(Debug, Default)]
pub struct Feed {
    followers: Vec<Follower>,
    published: Arc<Published>,
}

impl Feed {
    /// Nobody follows yet. `published`: of all feeds of this process.
    pub fn new(published: Arc<Published>) -> Self {
        Self { followers: Vec::new(), published }
    }

    /// Sends all that the queue knows to one who subscribed, and to nobody else.
    pub fn publish_to(&self, follower: &Follower, facts: Vec<Fact>) {
        let _ =
            follower.send_message(Facts { facts, number: self.published.newest(), is_all: true });
    }

    /// From here on `follower` is sent everything, after what it was sent before.
    pub fn subscribe(&mut self, follower: Follower) {
        self.followers.push(follower);
    }

    /// Sends these to everybody.
    pub fn publish(&mut self, all: Vec<Fact>) {
        if all.is_empty() {
            return;
        }
        // The last one is given the facts themselves: with one follower nothing is copied.
        let Some(last) = self.followers.pop() else { return };
        let number = self.published.next();
        let facts = |facts| Facts { facts, number, is_all: false };
        self.followers.retain(|follower| follower.send_message(facts(all.clone())).is_ok());
        if last.send_message(facts(all)).is_ok() {
            self.followers.push(last);
        }
    }
}
