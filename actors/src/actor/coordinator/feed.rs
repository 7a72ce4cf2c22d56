//! What the queue made durable, for whoever subscribes: readers today, exports and the
//! transparency log later. The queue does not know who follows.

use ractor::DerivedActorRef;

use crate::domain::queue::{Fact, Moment};

/// Facts that became durable, in this order. The first ones that a follower is sent are all that
/// the queue knows; one that was read from the store may come again.
#[derive(Debug)]
pub struct Facts(pub Vec<Fact>);

/// An actor that takes [`Facts`] beside its own messages.
pub type Follower = DerivedActorRef<Facts>;

/// How the workers are; everything that it holds is durable.
#[derive(Debug)]
pub struct Now(pub Box<Moment>);

/// An actor that asks for [`Now`].
pub type Asker = DerivedActorRef<Now>;

/// All who follow. One that is gone is forgotten at the next facts.
#[derive(Debug, Default)]
pub struct Feed {
    followers: Vec<Follower>,
}

impl Feed {
    /// From here on `follower` is sent everything, after what it was sent before.
    pub fn subscribe(&mut self, follower: Follower) {
        self.followers.push(follower);
    }

    /// Sends these to everybody.
    pub fn publish(&mut self, facts: Vec<Fact>) {
        if facts.is_empty() {
            return;
        }
        // The last one is given the facts themselves: with one follower nothing is copied.
        let Some(last) = self.followers.pop() else { return };
        self.followers.retain(|follower| follower.send_message(Facts(facts.clone())).is_ok());
        if last.send_message(Facts(facts)).is_ok() {
            self.followers.push(last);
        }
    }
}
