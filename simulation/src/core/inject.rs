use rebuilder_actors::domain::queue::{Event, Join, Order, RequestId};
use rebuilder_actors::protocol::Sha256;
use rebuilder_actors::protocol::wire::BootId;
use rebuilder_actors::protocol::wire::v1::ctl::PackageFilter;

use super::calendar::Happening;
use super::trouble::Trouble;
use super::world::{DAY, HOUR, MINUTE, World};
use crate::observation::{Directive, Observation};

/// Faults that strike at moments, each about so often at its usual strength; the others bend what
/// happens anyway. A farm with more workers has more trouble with workers.
const EVERY: [(Trouble, u64); 11] = [
    (Trouble::WorkerCrash, 12 * HOUR),
    (Trouble::CoordinatorCrash, 12 * HOUR),
    (Trouble::Cut, 3 * HOUR),
    (Trouble::Silence, 8 * HOUR),
    (Trouble::ClockStep, 12 * HOUR),
    (Trouble::Lie, 4 * HOUR),
    (Trouble::Clone, 12 * HOUR),
    (Trouble::Publish, 6 * HOUR),
    (Trouble::MirrorOutage, DAY),
    (Trouble::Operator, 8 * HOUR),
    (Trouble::Stall, 6 * HOUR),
];

impl World {
    pub(super) fn begin_trouble(&mut self) {
        for (fault, _) in EVERY {
            if self.faults.has(fault) {
                self.inject_later(fault);
            }
        }
    }

    fn inject_later(&mut self, fault: Trouble) {
        let Some((_, every)) = EVERY.iter().find(|(other, _)| *other == fault) else { return };
        let mut every = every * 2 / self.faults.strength(fault).max(1);
        if matches!(fault, Trouble::WorkerCrash | Trouble::Cut | Trouble::Silence | Trouble::Lie) {
            every = (every / self.workers.len() as u64).max(MINUTE);
        }
        let delay = self.random.of(0..2 * every);
        self.after(delay, Happening::Inject(fault));
    }

    /// What happens in times of trouble only, again and again.
    pub(super) fn inject(&mut self, fault: Trouble) {
        if !self.trouble {
            return;
        }
        let number = self.random.index(self.workers.len());
        match fault {
            Trouble::WorkerCrash => self.stop_worker(number),
            Trouble::CoordinatorCrash => self.crash_coordinator(),
            Trouble::Cut => {
                if let Some(session) = self.workers[number].session {
                    self.note(format_args!("worker-{number}"), || "loses its connection");
                    self.cut(session, true);
                }
            }
            Trouble::Silence => self.silence(number),
            Trouble::ClockStep => {
                let step = i64::try_from(self.random.of(0..12 * HOUR)).unwrap_or(0);
                self.skew = step - i64::try_from(6 * HOUR).unwrap_or(0);
                let minutes = self.skew / 60_000;
                self.note("coordinator", || format!("its wall clock is {minutes} minutes off"));
            }
            Trouble::Lie => self.lie(number),
            Trouble::Clone => self.join_clone(number),
            Trouble::Publish => {
                let which = self.random.index(self.packages.len());
                self.packages[which].change(&mut self.random);
                let name = self.packages[which].name().to_owned();
                self.note("mirror", || format!("publishes something about {name}"));
            }
            Trouble::MirrorOutage => self.outage(),
            Trouble::Operator => self.operate(),
            Trouble::Stall => self.stall(),
            _ => {}
        }
        self.inject_later(fault);
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
