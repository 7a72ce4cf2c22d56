use core::fmt::Display;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::Sha256;

use crate::checker::{self, Checker};
use crate::observation::{End, Observation};
use crate::plan::{Failure, Plan};

/// Sees everything that happens, has it checked, and keeps the trace.
pub struct Witness {
    settings: Settings,
    checkers: Vec<Box<dyn Checker>>,
    failure: Option<Failure>,
    tracing: bool,
    digesting: bool,
    digest: Sha256,
    lines: Vec<String>,
    /// What each worker was last heard to do: the same again is no line.
    heard: std::collections::BTreeMap<usize, String>,
}

impl Witness {
    /// One that sees nothing yet.
    pub fn new(plan: &Plan, settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            checkers: checker::all(),
            failure: None,
            tracing: plan.trace,
            digesting: plan.digest,
            digest: Sha256([0; 32]),
            lines: Vec::new(),
            heard: Default::default(),
        }
    }

    /// Shows what happened at `now` (milliseconds of virtual time since the start) to every
    /// checker.
    pub fn observe(&mut self, now: u64, observation: &Observation) {
        if self.tracing || self.digesting {
            self.trace(now, observation);
        }
        let heard = matches!(observation, Observation::Heard { .. });
        for checker in self.checkers.iter_mut().filter(|checker| !heard || checker.hears()) {
            if let Err(text) = checker.observe(now, &self.settings, observation) {
                let checker = checker.name().to_owned();
                self.failure.get_or_insert(Failure { checker, at_ms: now, text });
            }
        }
    }

    /// Adds a line to the trace that no checker needs to see. It is made only if it is kept.
    pub fn note<T: Display>(&mut self, now: u64, node: impl Display, text: impl FnOnce() -> T) {
        if self.tracing || self.digesting {
            self.line(now, &node.to_string(), &text());
        }
    }

    /// Something is wrong that no checker is for: the oracle disagrees, or the level itself.
    pub fn fail(&mut self, now: u64, checker: &'static str, text: String) {
        self.failure.get_or_insert(Failure { checker: checker.into(), at_ms: now, text });
    }

    /// True once a property is broken.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Shows the end to every checker; returns what was broken first, the digest and the trace.
    pub fn finish(mut self, now: u64, end: &End) -> (Option<Failure>, Option<Sha256>, Vec<String>) {
        if self.failure.is_none() {
            self.failure = self.checkers.iter_mut().find_map(|checker| {
                let text = checker.finish(end).err()?;
                Some(Failure { checker: checker.name().into(), at_ms: now, text })
            });
        }
        (self.failure, self.digesting.then_some(self.digest), self.lines)
    }

    fn trace(&mut self, now: u64, observation: &Observation) {
        if let Observation::Holds { amount, limit, .. } = observation
            && amount <= limit
        {
            return;
        }
        let text = observation.to_string();
        if let Observation::Heard { worker, .. } = observation
            && self.heard.insert(*worker, text.clone()).as_ref() == Some(&text)
        {
            return;
        }
        self.line(now, &observation.node(), &text);
    }

    fn line(&mut self, now: u64, node: &str, text: &dyn Display) {
        let line = format!("{}  {node:<12} {text}", moment(now));
        if self.digesting {
            self.digest = Sha256::of(format!("{}{line}\n", self.digest).as_bytes());
        }
        if self.tracing {
            self.lines.push(line);
        }
    }
}

/// Virtual time for people: `day 2 03:14:15.926`.
pub fn moment(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    format!("day {:<3} {:02}:{minute:02}:{second:02}.{ms:03}", hours / 24, hours % 24)
}
