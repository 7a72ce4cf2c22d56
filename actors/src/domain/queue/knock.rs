//! A second process that proves the key of a worker whose connection seems to live: a worker that
//! was killed and started again, or a copied machine.
//!
//! A process that is killed, and a machine that loses power, close nothing: their connection looks
//! alive for as long as silence is allowed. So the old connection is asked. A machine that was
//! copied with its key answers, a process that is gone cannot.

use core::time::Duration;

use super::effect::{Effects, Send};
use super::enrol::refuse;
use super::event::{Join, Now, SessionId};
use super::queue_state::Queue;
use crate::planted::{self, Bug};
use crate::protocol::WorkerId;
use crate::protocol::wire::CloseCode;

/// Time for the old connection to acknowledge a packet. Several times what QUIC needs to send one
/// again that was lost (RFC 9002 §6.2: three round trips), on links of up to 300 ms.
const ANSWER: Duration = Duration::from_millis(1500);

impl Queue {
    /// Holds the new process back until the old connection has answered, or not.
    pub(super) fn knock(&mut self, id: WorkerId, join: Join, effects: &mut Effects) {
        let Some(old) = self.workers[&id].session.as_ref() else { return };
        // From elsewhere it is no restart. (A machine whose address changed with its start waits
        // until its old connection has been silent for long enough.)
        if host(&old.address) != host(&join.address) {
            let reason = taken(&old.address);
            return refuse(&join, CloseCode::Duplicate, reason, effects);
        }
        match self.knocking.get(&id).map(|waiting| waiting.boot == join.boot) {
            // One answer serves both.
            Some(true) => self.turn_away(id, &join.address, effects),
            Some(false) => {
                let reason = "a further process with this key is being let in: each worker needs \
                              a key of its own";
                return refuse(&join, CloseCode::Duplicate, reason.into(), effects);
            }
            None => effects.sends.push(Send::Probe { session: old.id, within: ANSWER }),
        }
        self.knocking.insert(id, join);
    }

    /// The old connection has answered, or stayed silent for as long as it was given.
    pub(super) fn probed(
        &mut self,
        now: Now,
        session: SessionId,
        answered: bool,
        effects: &mut Effects,
    ) {
        // Unknown: it left meanwhile, and who waited for its answer is in.
        let Some(id) = self.sessions.get(&session).copied() else { return };
        if answered && !planted::is(Bug::CopiedMachineLetIn) {
            let address = self.workers[&id].session.as_ref().map(|old| old.address.clone());
            return self.turn_away(id, &address.unwrap_or_default(), effects);
        }
        if !self.knocking.contains_key(&id) {
            return;
        }
        let old = self.workers.get_mut(&id).and_then(|worker| worker.session.take());
        if let Some(old) = old {
            self.sessions.remove(&old.id);
            self.idle.remove(&id);
            self.changed.insert(id);
            let text = format!("worker {id} does not answer from {}: started again", old.address);
            Self::line(effects, now, true, text);
            let reason = "this process did not answer when another one with its key connected";
            let (session, code) = (old.id, CloseCode::Duplicate);
            effects.sends.push(Send::Close { session, code, reason: reason.into() });
        }
        self.open_to_knocking(now, id, effects);
    }

    /// The old connection is gone: who waited for that is looked at as if nothing had been.
    pub(super) fn open_to_knocking(&mut self, now: Now, id: WorkerId, effects: &mut Effects) {
        if let Some(join) = self.knocking.remove(&id) {
            self.join(now, join, effects);
        }
    }

    /// The key is in use, by a process at `address`: who waits is refused.
    pub(super) fn turn_away(&mut self, id: WorkerId, address: &str, effects: &mut Effects) {
        if let Some(join) = self.knocking.remove(&id) {
            refuse(&join, CloseCode::Duplicate, taken(address), effects);
        }
    }
}

fn taken(address: &str) -> String {
    format!(
        "another process with this key is connected from {address}: each worker needs a key of its \
         own"
    )
}

/// Without the port.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}
