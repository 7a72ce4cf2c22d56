use core::time::Duration;

use rebuilder_actors::domain::queue::{Event, Send, SessionId};

use super::calendar::Happening;
use super::trouble::Trouble;
use super::world::{MINUTE, SECOND, World};
use crate::observation::Observation;

/// One connection: in order in each direction.
pub(super) struct Connection {
    pub(super) worker: usize,
    /// True for a second process with the worker's key.
    pub(super) is_clone: bool,
    /// When the last message of each direction arrives.
    up_to: [u64; 2],
    /// Until then nothing that the worker says arrives.
    pub(super) silent_until: u64,
}

impl World {
    /// A worker's process connects, now or when there is a coordinator.
    pub(super) fn connect(&mut self, number: usize, boot: u32) {
        let worker = &self.workers[number];
        if !worker.up || worker.boot != boot || worker.session.is_some() {
            return;
        }
        if self.coordinator.is_none() {
            self.after(5 * SECOND, Happening::Connect(number, boot));
            return;
        }
        let session = self.open(number, false);
        self.workers[number].session = Some(session);
        let join = self.workers[number].hello(number, session);
        self.send_in(session, Event::Joined(Box::new(join)));
    }

    pub(super) fn open(&mut self, worker: usize, is_clone: bool) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let up_to = [self.now; 2];
        let connection = Connection { worker, is_clone, up_to, silent_until: 0 };
        self.connections.insert(session, connection);
        session
    }

    /// A connection breaks: what is under way is lost, and each side learns it in its time.
    pub(super) fn cut(&mut self, session: SessionId, told: bool) {
        let Some(connection) = self.connections.remove(&session) else { return };
        let number = connection.worker;
        if !connection.is_clone && self.workers[number].session == Some(session) {
            self.disconnected(number);
            let boot = self.workers[number].boot;
            let long = if self.trouble { 40 * MINUTE } else { 30 * SECOND };
            let delay = self.random.of(SECOND..long);
            let short = self.random.percent(80);
            let delay = if short { delay % MINUTE + SECOND } else { delay };
            self.after(delay, Happening::Connect(number, boot));
        }
        if told {
            let delay = self.random.of(0..30 * SECOND);
            self.after(delay, Happening::Gone(session, number));
        }
    }

    /// The coordinator notices that a connection is gone.
    pub(super) fn gone(&mut self, session: SessionId, worker: usize) {
        if self.coordinator.is_some() {
            self.observe(&Observation::Left(worker));
            self.coordinator_handles(Event::Left(session));
        }
    }

    pub(super) fn reaches(&mut self, session: SessionId, send: Send) {
        let Some(connection) = self.connections.get(&session) else { return };
        let (number, is_clone) = (connection.worker, connection.is_clone);
        match send {
            Send::Close { .. } => self.cut(session, true),
            _ if is_clone => {}
            Send::Worker(_, message) => self.worker_receives(number, message),
            Send::Admit { .. } => self.admitted(number),
            Send::Probe { .. } | Send::Upload(..) | Send::Reply(..) | Send::Revoked(_) => {}
        }
    }

    /// The transport of a process that is there answers, unless nothing of it is heard.
    pub(super) fn probe(&mut self, session: SessionId, within: Duration) {
        let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let connection = self.connections.get(&session);
        let heard = connection.is_some_and(|connection| connection.silent_until <= self.now);
        let round_trip = self.latency() + self.latency();
        let answered = heard && round_trip <= within;
        let delay = if answered { round_trip } else { within };
        self.after(delay, Happening::Probed(self.incarnation, session, answered));
    }

    /// What another process of the coordinator asked for is of no use to this one.
    pub(super) fn probed(&mut self, incarnation: u64, session: SessionId, answered: bool) {
        if incarnation == self.incarnation {
            self.coordinator_handles(Event::Probed { session, answered });
        }
    }

    pub(super) fn send_in(&mut self, session: SessionId, event: Event) {
        if let Some(at) = self.arrival(session, 0) {
            self.at(at, Happening::Arrives(session, Box::new(event)));
        }
    }

    pub(super) fn send_out(&mut self, session: SessionId, send: Send) {
        if let Some(at) = self.arrival(session, 1) {
            self.at(at, Happening::Reaches(session, Box::new(send)));
        }
    }

    /// When a message that is sent now arrives: after the one before it.
    fn arrival(&mut self, session: SessionId, direction: usize) -> Option<u64> {
        let latency = self.latency();
        let connection = self.connections.get_mut(&session)?;
        let mut at = (connection.up_to[direction] + 1).max(self.now + latency);
        if direction == 0 {
            at = at.max(connection.silent_until);
        }
        connection.up_to[direction] = at;
        Some(at)
    }

    /// How long one datagram is under way now, milliseconds.
    fn latency(&mut self) -> u64 {
        let strength = self.strength(Trouble::SlowNetwork);
        let late = strength > 0 && self.random.percent(2 * strength);
        self.random.of(1..if late { 20 * SECOND } else { 200 })
    }
}
