//! What workers say of their machines, and what follows for the work that they get.

use super::effect::Effects;
use super::event::{Now, SessionId};
use super::queue_state::Queue;
use crate::protocol::text::printable_within;
use crate::protocol::wire::v1::worker::{Ailment, Condition};
use crate::protocol::{Fault, WorkerId};

/// Backends that are said to be unable, and leftovers, that are kept of one worker.
const LISTED_MAX: usize = 16;
/// Characters of one of their texts.
const TEXT_MAX: usize = 300;

impl Queue {
    /// A worker said how its machine is: with what it cannot build it gets no job from now on.
    pub(super) fn condition(
        &mut self,
        now: Now,
        session: SessionId,
        received: Condition,
        effects: &mut Effects,
    ) {
        let Some(&id) = self.sessions.get(&session) else { return };
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(live) = worker.session.as_mut().filter(|live| live.id == session) else { return };
        let received = bounded(received);
        let unable = |backend: &String| received.ailments.iter().any(|a| a.backend == *backend);
        live.offer.backends = live.offered.iter().filter(|b| !unable(b)).cloned().collect();
        let name = worker.record.name.clone();
        let before = core::mem::replace(&mut worker.condition, received.clone());
        for ailment in received.ailments.iter().filter(|a| !before.ailments.contains(a)) {
            let Ailment { backend, reason } = ailment;
            let text = format!(
                "worker {id} ({name}) cannot build with `{backend}` and gets no such jobs: {reason}"
            );
            Self::line(effects, now, true, text);
        }
        for ailment in &before.ailments {
            if !received.ailments.iter().any(|a| a.backend == ailment.backend) {
                let text = format!("worker {id} ({name}) can build with `{}`", ailment.backend);
                Self::line(effects, now, false, text);
            }
        }
        for leftover in received.leftovers.iter().filter(|l| !before.leftovers.contains(l)) {
            let text = format!("worker {id} ({name}) cannot remove what was left: {leftover}");
            Self::line(effects, now, true, text);
        }
        self.idle.insert(id);
        if before != received {
            self.changed.insert(id);
        }
    }

    /// A worker's attempt ended in a fault: after several of its own it is set aside.
    pub(super) fn setback(&mut self, now: Now, id: WorkerId, fault: &Fault, effects: &mut Effects) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let before = worker.setback.until();
        let Some(aside) = worker.setback.failed(now, fault) else { return };
        // An attempt that was under way when it was set aside: later than was said then.
        if let Some(before) = before {
            self.aside.remove(&(before, id));
        }
        let secs = aside.until.since(now.monotonic).as_secs();
        let text = format!(
            "worker {id} ({}) is set aside for {secs} s: {} attempts in a row ended in faults of \
             its own, the last in {}: {}",
            worker.record.name, aside.faults, fault.kind, fault.detail
        );
        self.aside.insert((aside.until, id));
        self.changed.insert(id);
        Self::line(effects, now, true, text);
    }

    /// A worker's attempt ended in a verdict: whatever was wrong with it is over.
    pub(super) fn succeeded(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if let Some(until) = worker.setback.until() {
            self.aside.remove(&(until, id));
            self.changed.insert(id);
        }
        worker.setback.succeeded();
        self.idle.insert(id);
    }

    /// Workers whose time aside is over may have work again.
    pub(super) fn end_setbacks(&mut self, now: Now) {
        while let Some((_, id)) = self.aside.first().copied().filter(|(at, _)| *at <= now.monotonic)
        {
            self.aside.pop_first();
            self.idle.insert(id);
        }
    }
}

/// As much of it as is kept, as it may be shown.
fn bounded(mut received: Condition) -> Condition {
    received.ailments.truncate(LISTED_MAX);
    received.leftovers.truncate(LISTED_MAX);
    for ailment in &mut received.ailments {
        ailment.reason = printable_within(&ailment.reason, TEXT_MAX);
        ailment.backend = printable_within(&ailment.backend, TEXT_MAX);
    }
    for leftover in &mut received.leftovers {
        *leftover = printable_within(leftover, TEXT_MAX);
    }
    received
}
