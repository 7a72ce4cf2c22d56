use rebuilder_actors::domain::queue::{Event, Join, Order, RequestId};
use rebuilder_actors::protocol::Sha256;
use rebuilder_actors::protocol::wire::BootId;
use rebuilder_actors::protocol::wire::v1::ctl::PackageFilter;

use super::calendar::Happening;
use super::fault::Fault;
use super::world::{DAY, HOUR, MINUTE, World};
use crate::observation::{Directive, Observation};

/// Faults that strike at moments, each about so often at its usual strength; the others bend what
/// happens anyway. A farm with more workers has more trouble with workers.
const EVERY: [(Fault, u64); 11] = [
    (Fault::WorkerCrash, 12 * HOUR),
    (Fault::CoordinatorCrash, 12 * HOUR),
    (Fault::Cut, 3 * HOUR),
    (Fault::Silence, 8 * HOUR),
    (Fault::ClockStep, 12 * HOUR),
    (Fault::Lie, 4 * HOUR),
    (Fault::Clone, 12 * HOUR),
    (Fault::Publish, 6 * HOUR),
    (Fault::MirrorOutage, DAY),
    (Fault::Operator, 8 * HOUR),
    (Fault::Stall, 6 * HOUR),
];

impl World {
    pub(super) fn begin_trouble(&mut self) {
        for (fault, _) in EVERY {
            if self.faults.has(fault) {
                self.strike_later(fault);
            }
        }
    }

    fn strike_later(&mut self, fault: Fault) {
        let Some((_, every)) = EVERY.iter().find(|(other, _)| *other == fault) else { return };
        let mut every = every * 2 / self.faults.strength(fault).max(1);
        if matches!(fault, Fault::WorkerCrash | Fault::Cut | Fault::Silence | Fault::Lie) {
            every = (every / self.workers.len() as u64).max(MINUTE);
        }
        let delay = self.random.of(0..2 * every);
        self.after(delay, Happening::Strike(fault));
    }

    /// What happens in times of trouble only, again and again.
    pub(super) fn strike(&mut self, fault: Fault) {
        if !self.trouble {
            return;
        }
        let number = self.random.index(self.workers.len());
        match fault {
            Fault::WorkerCrash => self.stop_worker(number),
            Fault::CoordinatorCrash => self.crash_coordinator(),
            Fault::Cut => {
                if let Some(session) = self.workers[number].session {
                    self.note(format_args!("worker-{number}"), || "loses its connection");
                    self.cut(session, true);
                }
            }
            Fault::Silence => self.silence(number),
            Fault::ClockStep => {
                let step = i64::try_from(self.random.of(0..12 * HOUR)).unwrap_or(0);
                self.skew = step - i64::try_from(6 * HOUR).unwrap_or(0);
                let minutes = self.skew / 60_000;
                self.note("coordinator", || format!("its wall clock is {minutes} minutes off"));
            }
            Fault::Lie => self.lie(number),
            Fault::Clone => self.join_clone(number),
            Fault::Publish => {
                let which = self.random.index(self.packages.len());
                self.packages[which].change(&mut self.random);
                let name = self.packages[which].name().to_owned();
                self.note("mirror", || format!("publishes something about {name}"));
            }
            Fault::MirrorOutage => self.outage(),
            Fault::Operator => self.operate(),
            Fault::Stall => self.stall(),
            _ => {}
        }
        self.strike_later(fault);
    }

    fn silence(&mut self, number: usize) {
        let until = self.now + self.random.of(MINUTE..HOUR);
        let Some(session) = self.workers[number].session else { return };
        let Some(connection) = self.connections.get_mut(&session) else { return };
        connection.silent_until = until;
        let minutes = (until - self.now) / MINUTE;
        self.note(format_args!("worker-{number}"), || {
            format!("is not heard for {minutes} minutes")
        });
    }

    /// The coordinator's process stands still: what is for it waits, in order.
    fn stall(&mut self) {
        let length = self.random.of(MINUTE..HOUR / 2);
        if self.stalled.is_none() && self.coordinator.is_some() {
            self.stalled = Some(self.now);
            self.after(length, Happening::Awake);
            self.note("coordinator", || format!("stands still for {} s", length / 1000));
        }
    }

    /// What came meanwhile is handled at once.
    pub(super) fn awake(&mut self) {
        let Some(since) = self.stalled.take() else { return };
        self.observe(&Observation::Stalled(self.now - since));
        for happening in core::mem::take(&mut self.late) {
            self.happen(happening);
        }
    }

    /// A second process with a worker's key connects, and says nothing.
    fn join_clone(&mut self, number: usize) {
        if self.coordinator.is_none() {
            return;
        }
        let session = self.open(number, true);
        self.note(format_args!("worker-{number}"), || "has a clone that connects");
        let mut join: Join = self.workers[number].hello(number, session);
        join.boot = BootId([0xff; 16]);
        self.send_in(session, Event::Joined(Box::new(join)));
    }

    /// Somebody pushes or drops a package, or invites.
    fn operate(&mut self) {
        let which = self.random.index(self.packages.len());
        let name = self.packages[which].name().to_owned();
        let all = self.random.percent(10);
        let filter = PackageFilter { name: (!all).then_some(name), ..Default::default() };
        let request = RequestId(1);
        let event = match self.random.of(0..10) {
            0..3 => Event::Ordered(request, Order::Drop { filter }),
            3..8 => {
                let priority = i32::try_from(self.random.of(0..2)).unwrap_or(0);
                Event::Ordered(request, Order::Push { filter, priority })
            }
            _ => {
                let id = self.random.of(0..1 << 32).to_be_bytes();
                let (secret_sha256, ttl_secs) = (Sha256::of(&id), 3600);
                Event::Ordered(request, Order::Invite { id, secret_sha256, ttl_secs })
            }
        };
        self.coordinator_handles(event);
    }

    /// From now on nothing goes wrong any more, and everything that is down comes up.
    pub(super) fn heal(&mut self) {
        self.trouble = false;
        self.skew = 0;
        self.outage_until = 0;
        self.observe(&Observation::Healed);
        self.awake();
        self.start_coordinator();
        for connection in self.connections.values_mut() {
            connection.silent_until = 0;
        }
        for number in 0..self.workers.len() {
            self.start_worker(number);
        }
        for profile in 0..self.published.len() {
            self.after(MINUTE, Happening::Sync(profile));
        }
    }
}

/// What the checkers are told of an order; `None`: nothing.
pub(super) fn directive(order: &Order) -> Option<Directive> {
    match order {
        Order::Push { filter, .. } => Some(Directive::Push(filter.clone())),
        Order::Drop { filter } => Some(Directive::Drop(filter.clone())),
        // Strikes name packages.
        Order::PushJobs { .. } | Order::DropJobs { .. } => None,
        Order::Invite { .. } | Order::Revoke { .. } => None,
    }
}
