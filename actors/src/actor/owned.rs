use ractor::{ActorProcessingErr, ActorRef};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::port::Blocking;

/// Something that may block (a database, files), owned by one actor, and the work that waits for
/// it. It is either here or at work; the message that brings it back lets the next work begin.
pub(super) struct Owned<T: ?Sized, W> {
    /// `None` while it is at work.
    thing: Option<Box<T>>,
    blocking: Arc<dyn Blocking>,
    /// In the order in which it came.
    pub(super) waiting: VecDeque<W>,
}

/// How work ended.
pub enum Returned<T: ?Sized, R> {
    /// With this result.
    Back(Box<T>, R),
    /// It panicked, and the thing is lost: nobody knows how it was left.
    Lost,
}

impl<T: ?Sized + Send + 'static, W> Owned<T, W> {
    /// Nothing waits yet; `blocking` runs its work.
    pub(super) fn new(thing: Box<T>, blocking: Arc<dyn Blocking>) -> Self {
        Self { thing: Some(thing), blocking, waiting: VecDeque::new() }
    }

    /// Lets the next work begin, if some waits and the thing is here: what `take` takes of what
    /// waits is carried out where it may block, and `message` makes what tells `me` of its end.
    pub(super) fn work<M: ractor::Message, G: Send + 'static, R: 'static>(
        &mut self,
        me: &ActorRef<M>,
        take: impl FnOnce(&mut VecDeque<W>) -> G,
        carry_out: impl FnOnce(&mut T, G) -> R + Send + 'static,
        message: fn(Returned<T, R>) -> M,
    ) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(mut thing) = self.thing.take() else { return };
        let (group, me) = (take(&mut self.waiting), me.clone());
        self.blocking.run(Box::new(move || {
            let work = AssertUnwindSafe(move || {
                let result = carry_out(&mut thing, group);
                Returned::Back(thing, result)
            });
            // The panic itself is in the log: its hook says where it was.
            let returned = catch_unwind(work).unwrap_or(Returned::Lost);
            let _ = me.cast(message(returned));
        }));
    }

    /// Takes the thing back; `what` names it.
    ///
    /// # Errors
    /// It is lost: its owner ends, and opens it again when it is started again.
    pub(super) fn take_back<R>(
        &mut self,
        returned: Returned<T, R>,
        what: &str,
    ) -> Result<R, ActorProcessingErr> {
        match returned {
            Returned::Back(thing, result) => {
                self.thing = Some(thing);
                Ok(result)
            }
            Returned::Lost => Err(format!("{what} panicked: see above").into()),
        }
    }
}
