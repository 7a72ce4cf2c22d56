use std::sync::Arc;

use super::effect::{Effects, Fact, Send};
use super::event::{Now, RequestId, SessionId};
use super::queue_state::Queue;
use crate::domain::report::{AttemptReport, Judgement, SignedReport, VerifiedReport};
use crate::port::UtcMillis;
use crate::protocol::stored::v1::{DifferenceRecord, Outcome, Place, ReportRecord};
use crate::protocol::stored::{self, key};
use crate::protocol::wire::v1::coordinator::{Answer, Message};
use crate::protocol::{
    Artifact, AttemptId, BuildId, Ending, Fault, InputId, Sha256, Verdict, WorkerId,
};

/// Priority of a retry: after manual and new jobs.
const PRIORITY_RETRY: i32 = 2;

impl Queue {
    /// Decides about a report whose signatures are verified, and answers its worker.
    pub(super) fn report(
        &mut self,
        now: Now,
        session: SessionId,
        report: &VerifiedReport,
        countersigned: SignedReport,
        effects: &mut Effects,
    ) {
        let attempt = report.report().attempt;
        let answer = match self.sessions.get(&session).copied() {
            Some(worker) => self.accept(now, worker, report, countersigned, effects),
            None => return,
        };
        if let Answer::Refused { reason } = &answer {
            let text = format!("report of attempt {attempt} refused: {reason}");
            Self::line(effects, now, true, text);
        }
        effects.sends.push(Send::Worker(session, Message::Answer { attempt, answer }));
    }

    fn accept(
        &mut self,
        now: Now,
        worker: WorkerId,
        verified: &VerifiedReport,
        countersigned: SignedReport,
        effects: &mut Effects,
    ) -> Answer {
        let report = verified.report();
        let attempt = report.attempt;
        let artifacts = match self.check_grant(worker, report) {
            Ok(Some(artifacts)) => artifacts,
            Ok(None) => return Answer::Accepted,
            Err(reason) => return Answer::Refused { reason },
        };
        let judgement = match verified.judge(&artifacts) {
            Ok(judgement) => judgement,
            Err(_) if self.artifacts_changed(attempt.job, report) => {
                return self.supersede(now, attempt, effects);
            }
            Err(error) => return Answer::Refused { reason: error.to_string() },
        };
        let current = self.leases.get(attempt.job).is_some_and(|l| l.attempt == attempt);
        if matches!(judgement, Judgement::Fault(_)) && !current {
            self.answered(attempt, effects);
            return Answer::Superseded;
        }
        let outcome = outcome(&judgement, report);
        self.keep(now, worker, report, countersigned, outcome, effects);
        match judgement {
            Judgement::Fault(fault) => {
                self.mark_answered(attempt);
                self.fault(now, attempt.job, fault, effects);
            }
            Judgement::BuildFailed { .. } => self.verdict(now, worker, attempt, false, effects),
            Judgement::Verdicts(verdicts) => {
                let all = verdicts.iter().all(|(_, v)| *v == Verdict::Reproduced);
                self.verdict(now, worker, attempt, all, effects);
            }
        }
        Answer::Accepted
    }

    /// The artifacts that the attempt was to rebuild; `None` when it was answered before.
    fn check_grant(
        &self,
        worker: WorkerId,
        report: &AttemptReport,
    ) -> Result<Option<Vec<Artifact>>, String> {
        let attempt = report.attempt;
        let entry = self.entries.get(&attempt.job).ok_or_else(|| "no such job".to_owned())?;
        let grant = entry.state.grants.iter().find(|g| g.epoch == attempt.epoch);
        let grant = grant.ok_or_else(|| format!("attempt {attempt} was never granted"))?;
        if grant.worker != worker {
            return Err(format!("attempt {attempt} was granted to another worker"));
        }
        if report.key != entry.job.key {
            return Err(format!("the report names {} instead of the job", report.key.source));
        }
        if grant.answered {
            return Ok(None);
        }
        let assigned = self.leases.get(attempt.job).filter(|l| l.attempt == attempt);
        let assigned = assigned.and_then(|lease| lease.artifacts.clone());
        Ok(Some(assigned.unwrap_or_else(|| entry.job.artifacts())))
    }

    fn artifacts_changed(&self, job: InputId, report: &AttemptReport) -> bool {
        let wanted = self.entries.get(&job).map(|entry| entry.job.artifacts());
        wanted.is_some_and(|w| crate::protocol::artifact_set_digest(&w) != report.artifact_set)
    }

    /// The attempt rebuilt a set of artifacts that is no longer wanted: again, now.
    fn supersede(&mut self, now: Now, attempt: AttemptId, effects: &mut Effects) -> Answer {
        self.answered(attempt, effects);
        if self.leases.get(attempt.job).is_some_and(|l| l.attempt == attempt) {
            self.release(attempt.job);
            let waiting = match self.entries.get(&attempt.job).map(|e| &e.state.place) {
                Some(Place::Leased { waiting, .. }) => *waiting,
                _ => return Answer::Superseded,
            };
            let place = Place::Queued { waiting, due: UtcMillis(0) };
            self.move_to(now, attempt.job, place, effects);
        }
        Answer::Superseded
    }

    fn mark_answered(&mut self, attempt: AttemptId) {
        if let Some(entry) = self.entries.get_mut(&attempt.job) {
            for grant in entry.state.grants.iter_mut().filter(|g| g.epoch == attempt.epoch) {
                grant.answered = true;
            }
        }
    }

    fn answered(&mut self, attempt: AttemptId, effects: &mut Effects) {
        self.mark_answered(attempt);
        self.write_state(attempt.job, effects);
    }

    /// Writes an accepted report; a verdict gets the number of a build.
    fn keep(
        &mut self,
        now: Now,
        worker: WorkerId,
        report: &AttemptReport,
        signed: SignedReport,
        outcome: Outcome,
        effects: &mut Effects,
    ) {
        let is_fault = matches!(outcome, Outcome::Fault(_));
        let build = (!is_fault).then(|| BuildId(self.next(|c| &mut c.build)));
        if let Some(entry) = self.entries.get_mut(&report.attempt.job) {
            let grants = entry.state.grants.iter_mut();
            grants.filter(|g| g.epoch == report.attempt.epoch).for_each(|g| g.build = build);
        }
        self.counters.report += 1;
        self.counters_changed = true;
        let sequence = self.counters.report;
        let text = describe(&self.entries[&report.attempt.job].job.label(), report, &outcome);
        Self::line(effects, now, is_fault, text);
        let record = ReportRecord {
            attempt: report.attempt,
            worker,
            accepted_at: now.utc,
            started_at: report.attempted.started_at,
            finished_at: report.attempted.finished_at,
            build,
            outcome,
            evidence: report.evidence(),
            log: report.log.sha256,
            log_bytes: report.log.size,
        };
        effects.batch.put(key::report(sequence), stored::write(&record));
        effects.batch.put(key::signed(sequence), stored::write(&signed));
        effects.facts.push(Fact::Accepted(Arc::new(record), sequence));
    }

    /// A verdict was accepted: it decides the job, unless an earlier one did.
    fn verdict(
        &mut self,
        now: Now,
        worker: WorkerId,
        attempt: AttemptId,
        reproduced: bool,
        effects: &mut Effects,
    ) {
        let id = attempt.job;
        self.mark_answered(attempt);
        if let Some(lease) = self.release(id).filter(|lease| lease.attempt != attempt) {
            let session = self.workers.get(&lease.worker).and_then(|w| w.session.as_ref());
            if let Some(session) = session {
                let reason = "another worker's report decided the job".into();
                let message = Message::Cancel { attempt: lease.attempt, reason };
                effects.sends.push(Send::Worker(session.id, message));
            }
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if matches!(entry.state.place, Place::Decided | Place::Dropped) {
            self.write_state(id, effects);
            return;
        }
        entry.state.faults = 0;
        entry.state.avoid = None;
        if reproduced {
            self.confirm(now, worker, id, effects);
        } else {
            self.retry(now, id, effects);
        }
    }

    /// One more key found the job reproduced; enough of them decide it.
    fn confirm(&mut self, now: Now, worker: WorkerId, id: InputId, effects: &mut Effects) {
        let wanted = self.settings.confirmations.max(1) as usize;
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if !entry.state.confirmed.contains(&worker) {
            entry.state.confirmed.push(worker);
        }
        let enough = entry.state.confirmed.len() >= wanted;
        if enough {
            entry.state.retries = 0;
            self.move_to(now, id, Place::Decided, effects);
        } else {
            let priority = waiting_priority(&entry.state.place);
            self.queue_again(now, id, priority, UtcMillis(0), effects);
        }
    }

    /// The retry that the policy allows, counted from now, the acceptance.
    fn retry(&mut self, now: Now, id: InputId, effects: &mut Effects) {
        let Some(entry) = self.entries.get(&id) else { return };
        let retries = entry.state.retries;
        let mut policy = self.settings.retry;
        if let Some(max) = self.policies(entry).filter_map(|p| p.max_retries).max() {
            policy.max_retries = Some(max);
        }
        let next = policy.next(retries);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.state.confirmed.clear();
        match next {
            Some(delay) => {
                entry.state.retries = retries + 1;
                let due = now.utc.plus(delay);
                self.queue_again(now, id, PRIORITY_RETRY, due, effects);
            }
            None => self.move_to(now, id, Place::Decided, effects),
        }
    }

    /// Answers whether a log or a difference of this attempt is wanted from this worker.
    pub(super) fn upload_asked(
        &mut self,
        session: SessionId,
        request: RequestId,
        attempt: AttemptId,
        file: Option<&str>,
        effects: &mut Effects,
    ) {
        let answer = self.upload_allowed(session, attempt, file);
        effects.sends.push(Send::Upload(request, answer));
    }

    fn upload_allowed(
        &self,
        session: SessionId,
        attempt: AttemptId,
        file: Option<&str>,
    ) -> Result<Option<BuildId>, String> {
        let worker = self.sessions.get(&session).ok_or("the worker left")?;
        let entry = self.entries.get(&attempt.job).ok_or("no such job")?;
        let grant = entry.state.grants.iter().find(|g| g.epoch == attempt.epoch);
        let grant = grant.ok_or_else(|| format!("attempt {attempt} was never granted"))?;
        if grant.worker != *worker {
            return Err(format!("attempt {attempt} was granted to another worker"));
        }
        match file {
            None if grant.answered => Err(format!("attempt {attempt} was answered already")),
            None => Ok(None),
            Some(file) => {
                let known = entry.job.artifacts().iter().any(|a| *a.file == *file);
                match grant.build {
                    Some(build) if known => Ok(Some(build)),
                    _ => Err(format!("attempt {attempt} has no verdict about `{file}`")),
                }
            }
        }
    }

    /// Keeps what explains a difference.
    pub(super) fn difference_stored(
        &mut self,
        build: BuildId,
        file: String,
        sha256: Sha256,
        size: u64,
        effects: &mut Effects,
    ) {
        let record = DifferenceRecord { sha256, size };
        effects.batch.put(key::difference(build, &file), stored::write(&record));
        effects.facts.push(Fact::Difference(build, file.into(), record));
    }
}

fn waiting_priority(place: &Place) -> i32 {
    match place {
        Place::Queued { waiting, .. }
        | Place::Leased { waiting, .. }
        | Place::Parked { waiting, .. } => waiting.priority,
        Place::Decided | Place::Dropped => PRIORITY_RETRY,
    }
}

fn outcome(judgement: &Judgement, report: &AttemptReport) -> Outcome {
    match judgement {
        Judgement::Fault(fault) => Outcome::Fault(fault.clone()),
        Judgement::BuildFailed { reason } => Outcome::BuildFailed { reason: reason.clone() },
        Judgement::Verdicts(verdicts) => {
            let outputs = match &report.attempted.ending {
                Ending::Built(outputs) => outputs.as_slice(),
                Ending::BuildFailed { .. } | Ending::Fault(_) => &[],
            };
            let rebuilt = |file: &str| {
                let output = outputs.iter().find(|r| *r.file == *file)?;
                output.output.map(|o| o.sha256)
            };
            let rows = verdicts.iter().map(|(file, v)| (file.clone(), *v, rebuilt(file))).collect();
            Outcome::Verdicts(rows)
        }
    }
}

/// One line for the terminal.
fn describe(label: &str, report: &AttemptReport, outcome: &Outcome) -> String {
    let attempt = report.attempt;
    match outcome {
        Outcome::Fault(Fault { kind, detail }) => {
            format!("{label} attempt {attempt} ended in a fault of ours: {kind}: {detail}")
        }
        Outcome::BuildFailed { reason } => {
            format!("{label} attempt {attempt} BuildFailed: {reason}")
        }
        Outcome::Verdicts(rows) => {
            let count = |v: Verdict| rows.iter().filter(|(_, verdict, _)| *verdict == v).count();
            let names = [
                (Verdict::Reproduced, "Reproduced"),
                (Verdict::Differs, "Differs"),
                (Verdict::Missing, "Missing"),
            ];
            let parts: Vec<String> = names
                .iter()
                .filter(|(v, _)| count(*v) > 0)
                .map(|(v, name)| format!("{} {name}", count(*v)))
                .collect();
            format!("{label} attempt {attempt}: {}", parts.join(", "))
        }
    }
}
