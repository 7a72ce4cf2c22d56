use core::time::Duration;
use ractor::ActorRef;
use tokio::task::AbortHandle;

use crate::port::Monotonic;

/// The one timer of an actor. It ends with the actor.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// Of the timer that was set last: the message of one that was replaced may be in the mailbox
    /// already.
    number: u64,
    /// When the timer that runs ends, and its task; `None`: none runs.
    set: Option<(Monotonic, AbortHandle)>,
}

/// Shortest wait: a deadline that has passed is handled after what is in the mailbox.
const WAIT_MIN: Duration = Duration::from_millis(1);

impl Alarm {
    /// Sends what `message` makes of the timer's number `after` from `now`, unless a timer that
    /// runs ends before. One that ends too early costs a look; one for each message would cost a
    /// task that sleeps for a minute.
    pub(super) fn set_no_later<M: ractor::Message>(
        &mut self,
        me: &ActorRef<M>,
        now: Monotonic,
        after: Duration,
        message: impl FnOnce(u64) -> M + Send + 'static,
    ) {
        let after = after.max(WAIT_MIN);
        if self.set.as_ref().is_none_or(|(set, _)| now.plus(after) < *set) {
            self.set(me, now, after, message);
        }
    }

    /// The same in place of the timer that runs, if one does.
    pub(super) fn set<M: ractor::Message>(
        &mut self,
        me: &ActorRef<M>,
        now: Monotonic,
        after: Duration,
        message: impl FnOnce(u64) -> M + Send + 'static,
    ) {
        self.cancel();
        self.number += 1;
        let number = self.number;
        let task = me.send_after(after, move || message(number));
        self.set = Some((now.plus(after), task.abort_handle()));
    }

    /// True when this is the number of the timer that was set last, which then is over.
    pub(super) fn rings(&mut self, number: u64) -> bool {
        let rings = number == self.number;
        if rings {
            self.set = None;
        }
        rings
    }

    fn cancel(&mut self) {
        if let Some((_, task)) = self.set.take() {
            task.abort();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[cfg(test)]
mod tests {
    use ractor::{Actor, ActorProcessingErr};
    use tokio::sync::mpsc;

    use super::*;

    /// Passes the numbers on that it is sent.
    struct Rings;

    impl Actor for Rings {
        type Msg = u64;
        type State = mpsc::UnboundedSender<u64>;
        type Arguments = mpsc::UnboundedSender<u64>;

        async fn pre_start(
            &self,
            _: ActorRef<u64>,
            rung: Self::Arguments,
        ) -> Result<Self::State, ActorProcessingErr> {
            Ok(rung)
        }

        async fn handle(
            &self,
            _: ActorRef<u64>,
            number: u64,
            rung: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            Ok(rung.send(number)?)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_earlier_timer_replaces_one_and_none_outlives_its_owner() {
        let (rung, mut rings) = mpsc::unbounded_channel();
        let (me, _) = Actor::spawn(None, Rings, rung).await.unwrap();
        let now = Monotonic(Duration::from_secs(100));
        let mut alarm = Alarm::default();
        alarm.set_no_later(&me, now, Duration::from_secs(60), |number| number);
        alarm.set_no_later(&me, now, Duration::from_secs(90), |number| number);
        alarm.set_no_later(&me, now, Duration::from_secs(30), |number| number);
        let early = tokio::time::timeout(Duration::from_secs(29), rings.recv()).await;
        assert!(early.is_err());
        assert_eq!(rings.recv().await, Some(2), "the first was replaced, the second never set");
        assert!(!alarm.rings(1), "one that was replaced and is in the mailbox already");
        assert!(alarm.rings(2));

        alarm.set(&me, now, Duration::from_secs(5), |number| number);
        alarm.set(&me, now, Duration::from_secs(50), |number| number);
        assert_eq!(rings.recv().await, Some(4), "a later one replaces it where it is asked to");
        alarm.set(&me, now, Duration::from_secs(5), |number| number);
        drop(alarm);
        let more = tokio::time::timeout(Duration::from_secs(600), rings.recv()).await;
        assert!(more.is_err(), "it ended with its owner");
        me.stop(None);
    }
}
