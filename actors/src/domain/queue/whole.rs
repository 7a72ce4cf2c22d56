use std::collections::BTreeMap;

use crate::protocol::stored::{Counters, JobState, ReportRecord, StoredPlace};
use crate::protocol::{AttemptId, BuildId, Epoch, InputId};

/// Contradictions that are named; the others are counted.
const NAMED_MAX: usize = 10;

/// What accepted reports and states of jobs say of each other: they are written in one commit, so
/// that either without the other is a hole in the store.
///
/// Takes the counters, then reports, then states, each in the order of their keys.
#[derive(Debug, Default)]
pub struct Whole {
    counters: Counters,
    reports: u64,
    builds: i32,
    /// Attempts with a verdict whose job was not seen yet.
    verdicts: BTreeMap<InputId, Vec<(Epoch, BuildId)>>,
    jobs: i32,
    contradictions: Vec<String>,
    more: usize,
}

impl Whole {
    /// Takes the counters.
    pub fn counters(&mut self, counters: Counters) {
        self.counters = counters;
    }

    /// Takes the report of this number.
    pub fn report(&mut self, sequence: u64, report: &ReportRecord) {
        for missing in (self.reports + 1..sequence).take(NAMED_MAX + 1) {
            self.add(|| format!("report {missing} is missing"));
        }
        self.reports = sequence;
        if let Some(build) = report.build {
            self.builds += 1;
            let attempts = self.verdicts.entry(report.attempt.job).or_default();
            attempts.push((report.attempt.epoch, build));
        }
    }

    /// Takes the state of a job.
    pub fn state(&mut self, job: InputId, state: &JobState) {
        self.jobs += 1;
        let attempts = self.verdicts.remove(&job).unwrap_or_default();
        if state.place == StoredPlace::Decided && attempts.is_empty() {
            self.add(|| format!("job {job} is decided and has no report"));
        }
        for grant in &state.grants {
            let Some(build) = grant.build else { continue };
            if !attempts.contains(&(grant.epoch, build)) {
                self.add(|| {
                    let attempt = AttemptId { job, epoch: grant.epoch };
                    format!("the report of attempt {attempt} (build {build}) is missing")
                });
            }
        }
        for (epoch, build) in attempts {
            // Of the oldest attempts only the reports are kept.
            let mut grants = state.grants.iter().filter(|grant| grant.epoch == epoch).peekable();
            let known = grants.peek().is_none() || grants.any(|grant| grant.build.is_some());
            if !known || epoch > state.epoch {
                self.add(|| format!("job {job} does not know of its build {build}"));
            }
        }
    }

    /// All was taken.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn finish(mut self) -> Result<(), String> {
        let Counters { report, build, input, .. } = self.counters;
        if self.reports != report {
            let last = self.reports;
            self.add(|| format!("the last report is {last}, counted were {report}"));
        }
        // Numbers of what a salvage could not take over stay unused.
        for (what, found, counted) in [("builds", self.builds, build), ("jobs", self.jobs, input)] {
            if found > counted {
                self.add(|| format!("{found} {what} are there, counted were {counted}"));
            }
        }
        for job in core::mem::take(&mut self.verdicts).into_keys() {
            self.add(|| format!("job {job} is missing, which has a report"));
        }
        if self.contradictions.is_empty() {
            return Ok(());
        }
        let mut text = self.contradictions.join(", ");
        if self.more > 0 {
            text.push_str(&format!(", and {} more", self.more));
        }
        Err(text)
    }

    fn add(&mut self, text: impl FnOnce() -> String) {
        if self.contradictions.len() < NAMED_MAX {
            self.contradictions.push(text());
        } else {
            self.more += 1;
        }
    }
}
