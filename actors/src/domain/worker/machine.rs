use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::report;
use crate::planted::{self, Bug};
use crate::port::Monotonic;
use crate::protocol::stored::Spooled;
use crate::protocol::text::counted_len;
use crate::protocol::wire::v1::coordinator::{Answer, Message as FromCoordinator};
use crate::protocol::wire::v1::worker::{
    Capabilities, Condition, Message, Report, Running, Status,
};
use crate::protocol::{Assignment, AttemptId, GrantNumber, SignedReport, Stage};

/// Time between two statuses of a connection on which nothing changes (DESIGN §5).
const STATUS: Duration = Duration::from_secs(10);

/// What happened at a worker.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection is up, and the coordinator said welcome.
    Connected,
    /// The connection is gone.
    Disconnected,
    /// The coordinator said this.
    Received(FromCoordinator),
    /// An attempt entered a stage.
    StageEntered(AttemptId, Stage),
    /// An attempt has so many bytes of log.
    LogGrew(AttemptId, u64),
    /// A finished attempt's report is durable in the spool; its slot is free.
    Kept(AttemptId, Spooled),
    /// The coordinator has the whole log of a finished attempt.
    LogStored(AttemptId),
    /// An attempt ended without a report: it was cancelled, or the spool failed.
    Ended(AttemptId),
    /// Memory and disk that builds can use, bytes.
    Measured {
        /// Memory.
        free_memory: u64,
        /// Disk.
        free_disk: u64,
    },
    /// How the machine is.
    Condition(Condition),
    /// Time passed.
    Ticked,
}

/// What a worker is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the coordinator.
    Send(Message),
    /// Start an attempt.
    Start(Box<Assignment>),
    /// End an attempt, without a report.
    Stop(AttemptId, String),
    /// The report had its final answer: forget it and its log. True: it was accepted.
    Forget(AttemptId, bool),
    /// Send the log of an attempt from where the coordinator wants it, until its end.
    Upload(AttemptId),
    /// Show this on the terminal.
    Notice(String),
}

/// A worker's state.
#[derive(Debug)]
pub struct Machine {
    slots: u16,
    connected: bool,
    seen: GrantNumber,
    running: BTreeMap<AttemptId, Running>,
    /// Ended on order; they occupy their slot until their processes are gone.
    stopping: BTreeMap<AttemptId, Running>,
    spooled: BTreeMap<AttemptId, Spooled>,
    /// Logs that the coordinator has whole, as told on this connection.
    uploaded: BTreeSet<AttemptId>,
    free_memory: u64,
    free_disk: u64,
    condition: Condition,
    capabilities: Capabilities,
    next_status: Monotonic,
    changed: bool,
}

impl Machine {
    /// A worker with `slots`, and what its spool held at its start.
    pub fn new(slots: u16, spooled: BTreeMap<AttemptId, Spooled>) -> Self {
        Self {
            slots,
            connected: false,
            seen: GrantNumber(0),
            running: BTreeMap::new(),
            stopping: BTreeMap::new(),
            spooled,
            uploaded: BTreeSet::new(),
            free_memory: 0,
            free_disk: 0,
            condition: Condition::default(),
            capabilities: Capabilities::default(),
            next_status: Monotonic::default(),
            changed: false,
        }
    }

    /// The same, on a machine that gives this to builds.
    #[must_use]
    pub fn with(self, capabilities: Capabilities) -> Self {
        Self { capabilities, ..self }
    }

    /// Takes one event in and says what follows from it.
    pub fn handle(&mut self, now: Monotonic, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Connected => self.on_connected(&mut effects),
            Event::Disconnected => {
                self.connected = false;
                self.uploaded.clear();
            }
            Event::LogStored(attempt) => {
                self.uploaded.insert(attempt);
                effects.extend(self.report(attempt));
            }
            Event::Received(message) => self.received(message, &mut effects),
            Event::StageEntered(attempt, stage) => {
                if let Some(running) = self.running.get_mut(&attempt) {
                    running.stage = stage;
                    self.changed = true;
                }
            }
            // Growth alone is no change: it is told with the next status.
            Event::LogGrew(attempt, bytes) => {
                if let Some(running) = self.running.get_mut(&attempt) {
                    running.log_bytes = bytes;
                }
            }
            Event::Kept(attempt, spooled) => self.kept(attempt, spooled, &mut effects),
            Event::Ended(attempt) => {
                self.running.remove(&attempt);
                self.stopping.remove(&attempt);
                self.changed = true;
            }
            Event::Measured { free_memory, free_disk } => {
                self.free_memory = free_memory;
                self.free_disk = free_disk;
            }
            Event::Condition(condition) if condition != self.condition => {
                self.condition = condition;
                if self.connected {
                    effects.push(Effect::Send(Message::Condition(self.condition.clone())));
                }
            }
            Event::Condition(_) | Event::Ticked => {}
        }
        if self.connected && (self.changed || now >= self.next_status) {
            self.changed = false;
            self.next_status = now.plus(STATUS);
            effects.push(Effect::Send(Message::Status(self.status())));
        }
        effects
    }

    /// When to handle [`Event::Ticked`]; `None` while there is no connection.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.connected.then_some(self.next_status)
    }

    /// Attempts that occupy slots.
    pub fn running(&self) -> Vec<AttemptId> {
        self.running.keys().chain(self.stopping.keys()).copied().collect()
    }

    /// True while the attempt runs, or its report waits for its log.
    pub fn waits_for_log(&self, attempt: AttemptId) -> bool {
        self.running.contains_key(&attempt)
            || (self.spooled.contains_key(&attempt) && !self.uploaded.contains(&attempt))
    }

    /// True while an attempt runs or a report waits for its answer.
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.spooled.is_empty()
    }

    /// The status, then what waits: reports whose log is there, and logs.
    fn on_connected(&mut self, effects: &mut Vec<Effect>) {
        self.connected = true;
        self.changed = false;
        if !self.capabilities.words.is_empty() {
            effects.push(Effect::Send(Message::Capabilities(self.capabilities.clone())));
        }
        // Before the status, which asks for work.
        if self.condition != Condition::default() {
            effects.push(Effect::Send(Message::Condition(self.condition.clone())));
        }
        effects.push(Effect::Send(Message::Status(self.status())));
        let again = !planted::is(Bug::SpoolNotSentAgain);
        for (attempt, spooled) in self.spooled.iter().filter(|_| again) {
            match self.report(*attempt) {
                Some(report) => effects.push(report),
                None if spooled.log_bytes > 0 => effects.push(Effect::Upload(*attempt)),
                None => {}
            }
        }
        effects.extend(self.running.keys().map(|attempt| Effect::Upload(*attempt)));
    }

    fn received(&mut self, message: FromCoordinator, effects: &mut Vec<Effect>) {
        match message {
            FromCoordinator::Assign { number, assignment } => {
                self.assigned(number, assignment, effects);
            }
            FromCoordinator::Cancel { attempt, reason } => {
                if let Some(running) = self.running.remove(&attempt) {
                    let text =
                        format!("attempt {attempt} cancelled in {}: {reason}", running.stage);
                    effects.push(Effect::Notice(text));
                    self.stopping.insert(attempt, running);
                    effects.push(Effect::Stop(attempt, reason));
                }
            }
            FromCoordinator::Answer { attempt, answer } => {
                if let Some(spooled) = self.spooled.remove(&attempt) {
                    let accepted = answer == Answer::Accepted;
                    effects.push(Effect::Notice(describe(attempt, &answer, &spooled.signed)));
                    effects.push(Effect::Forget(attempt, accepted));
                    self.changed = true;
                }
            }
            FromCoordinator::LogWanted { attempt, .. } => self.log_wanted(attempt, effects),
        }
    }

    /// A log that is there is sent again. Without it the report can never be accepted: the attempt
    /// is lost, and the status that follows says so.
    fn log_wanted(&mut self, attempt: AttemptId, effects: &mut Vec<Effect>) {
        let Some(spooled) = self.spooled.get(&attempt) else { return };
        if spooled.log_bytes > 0 {
            self.uploaded.remove(&attempt);
            effects.push(Effect::Upload(attempt));
            return;
        }
        self.spooled.remove(&attempt);
        let text = format!("report of attempt {attempt} dropped: its log is gone");
        effects.push(Effect::Notice(text));
        effects.push(Effect::Forget(attempt, false));
        self.changed = true;
    }

    fn assigned(
        &mut self,
        number: GrantNumber,
        assignment: Box<Assignment>,
        effects: &mut Vec<Effect>,
    ) {
        self.seen = self.seen.max(number);
        self.changed = true;
        let attempt = assignment.attempt;
        let known = self.running.contains_key(&attempt) || self.spooled.contains_key(&attempt);
        // More than the slots: the status that follows tells the coordinator that it does not run.
        if known || self.running.len() + self.stopping.len() >= usize::from(self.slots) {
            return;
        }
        let running = Running { attempt, stage: Stage::Fetch, log_bytes: 0 };
        self.running.insert(attempt, running);
        let key = &assignment.key;
        let text = format!(
            "attempt {attempt}: {} {} ({}), {}",
            key.source,
            key.version,
            key.architecture,
            counted_len(assignment.artifacts.len(), "file")
        );
        effects.push(Effect::Notice(text));
        effects.push(Effect::Start(assignment));
        effects.push(Effect::Upload(attempt));
    }

    fn kept(&mut self, attempt: AttemptId, spooled: Spooled, effects: &mut Vec<Effect>) {
        self.running.remove(&attempt);
        self.stopping.remove(&attempt);
        self.spooled.insert(attempt, spooled);
        let report = self.report(attempt);
        if report.is_some() && planted::is(Bug::SpoolDeletedOnSend) {
            self.spooled.remove(&attempt);
            effects.push(Effect::Forget(attempt, false));
        }
        effects.extend(report);
        self.changed = true;
    }

    /// The report of an attempt, where it may be sent: connected, and its log is there.
    fn report(&self, attempt: AttemptId) -> Option<Effect> {
        let spooled = self.spooled.get(&attempt).filter(|_| self.connected)?;
        let ready = spooled.log_bytes == 0 || self.uploaded.contains(&attempt);
        let signed = spooled.signed.clone();
        ready.then(|| Effect::Send(Message::Report(Report { attempt, signed })))
    }

    fn status(&self) -> Status {
        Status {
            seen: self.seen,
            // What is being stopped still occupies its slot.
            running: self.running.values().chain(self.stopping.values()).copied().collect(),
            spooled: self.spooled.keys().copied().collect(),
            free_memory: self.free_memory,
            free_disk: self.free_disk,
        }
    }
}

fn describe(attempt: AttemptId, answer: &Answer, signed: &SignedReport) -> String {
    let outcome = || report::outcome(signed).map(|text| format!(": {text}")).unwrap_or_default();
    match answer {
        Answer::Accepted => format!("report of attempt {attempt} accepted{}", outcome()),
        Answer::Superseded => format!("report of attempt {attempt} superseded: it changes nothing"),
        Answer::Refused { reason } => format!("report of attempt {attempt} refused: {reason}"),
    }
}
