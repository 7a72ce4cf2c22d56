use std::collections::BTreeSet;
use std::sync::Arc;

use super::effect::{Effects, Fact, Send};
use super::event::{Now, RequestId, SessionId};
use super::lease::Assigned;
use super::queue_state::Queue;
use super::retry::RetryPolicy;
use super::sync::PRIORITY_NEW;
use crate::domain::report::{AttemptReport, Judgement, VerifiedReport};
use crate::planted::{self, Bug};
use crate::protocol::stored::{
    self, DifferenceRecord, Grant, Outcome, Record, ReportRecord, StoredPlace,
};
use crate::protocol::wire::v1::coordinator::{Answer, Message};
use crate::protocol::{
    Artifact, AttemptId, BuildId, Ending, Fault, FaultKind, InputId, Sha256, SignedReport,
    SignerKind, UtcMillis, Verdict, WorkerId, artifact_set_digest,
};

/// Priority of a retry: after manual and new jobs.
const PRIORITY_RETRY: i32 = 2;
/// Bytes of a report as signed that fit into a value of the store (1 MiB) with its framing.
const SIGNED_BYTES_MAX: usize = (1 << 20) - (64 << 10);
/// Bytes of a file's name that fit into a key of the store (256) behind table and build.
const FILE_BYTES_MAX: usize = 251;

impl Queue {
    /// Decides about a report whose signatures are verified, and answers its worker.
    pub(super) fn report(
        &mut self,
        now: Now,
        session: SessionId,
        report: &VerifiedReport,
        countersigned: &SignedReport,
        effects: &mut Effects,
    ) {
        let attempt = report.report().attempt;
        let answer = match self.sessions.get(&session).copied() {
            Some(worker) => {
                let answer = self.accept(now, worker, report, countersigned, effects);
                self.answered(now, session, worker, attempt, &answer);
                answer
            }
            None => return,
        };
        if let Answer::Refused { reason } = &answer {
            let text = format!("report of attempt {attempt} refused: {reason}");
            Self::line(effects, now, true, text);
            if let Some(line) = effects.notices.last_mut() {
                line.refused = Some(*report.worker());
            }
        }
        effects.sends.push(Send::Worker(session, Message::Answer { attempt, answer }));
    }

    /// A report is a sign of life as good as a status: a worker that is busy with reports is not
    /// silent. Its attempt runs no more, also where a status that is on its way says so.
    fn answered(
        &mut self,
        now: Now,
        session: SessionId,
        worker: WorkerId,
        attempt: AttemptId,
        answer: &Answer,
    ) {
        let live = self.workers.get_mut(&worker).and_then(|worker| worker.session.as_mut());
        let Some(live) = live.filter(|live| live.id == session) else { return };
        live.heard = now.monotonic;
        if !matches!(answer, Answer::Refused { .. }) {
            live.end(attempt);
        }
        self.idle.insert(worker);
    }

    fn accept(
        &mut self,
        now: Now,
        worker: WorkerId,
        verified: &VerifiedReport,
        countersigned: &SignedReport,
        effects: &mut Effects,
    ) -> Answer {
        let report = verified.report();
        let attempt = report.attempt;
        if self.workers.get(&worker).is_none_or(|w| w.key != *verified.worker()) {
            return Answer::Refused { reason: "signed by another key than the worker's".into() };
        }
        if signed_bytes(countersigned) > SIGNED_BYTES_MAX {
            return Answer::Refused { reason: format!("more than {SIGNED_BYTES_MAX} bytes") };
        }
        let grant = match self.check_grant(worker, report) {
            Ok(grant) => grant,
            Err(reason) => return Answer::Refused { reason },
        };
        let is_fault = matches!(report.attempted.ending, Ending::Fault(_));
        if grant.answered && !planted::is(Bug::AnsweredTwice) {
            // Without a build it was a fault, superseded, or set aside: what is kept of it is not
            // told from here, and a copy changes nothing.
            let copied = is_fault && planted::is(Bug::CopiedFaultAccepted);
            let kept = grant.build.is_some() || copied;
            return if kept { Answer::Accepted } else { Answer::Superseded };
        }
        let lease = self.leases.get(attempt.job).filter(|l| l.attempt == attempt);
        let current = lease.is_some();
        let assigned = match lease.and_then(|lease| lease.assigned.clone()) {
            Some(assigned) => match check_assigned(&assigned, report) {
                Ok(()) => assigned,
                Err(reason) => return Answer::Refused { reason },
            },
            // What was assigned is no longer known, only what is wanted now.
            None => match self.still_wanted(report) {
                Some(assigned) => assigned,
                None => return self.supersede(now, attempt, effects),
            },
        };
        let judgement = match verified.judge(&assigned.artifacts) {
            Ok(judgement) => judgement,
            Err(error) => return Answer::Refused { reason: error.to_string() },
        };
        let judgement = misjudged(judgement);
        let late_changes_nothing = is_fault && !planted::is(Bug::LateFaultCancels)
            || planted::is(Bug::LateVerdictThrownAway);
        if late_changes_nothing && !current {
            return Answer::Superseded;
        }
        let outcome = outcome(&judgement, report);
        self.keep(now, worker, report, countersigned, outcome, effects);
        let reproduced = match judgement {
            Judgement::Fault(fault) => {
                self.mark_answered(attempt);
                self.setback(now, worker, &fault, effects);
                self.fault(now, attempt.job, fault, effects);
                return Answer::Accepted;
            }
            Judgement::BuildFailed { .. } => false,
            Judgement::Verdicts(verdicts) => {
                verdicts.iter().all(|(_, v)| *v == Verdict::Reproduced)
            }
        };
        self.succeeded(worker);
        self.verdict(now, worker, attempt, &assigned.artifacts, reproduced, effects);
        Answer::Accepted
    }

    /// A report that nobody can read without a panic: its job is parked, since a report of the next
    /// attempt would do the same, and each costs two restarts.
    pub(super) fn set_aside(
        &mut self,
        now: Now,
        session: SessionId,
        attempt: AttemptId,
        effects: &mut Effects,
    ) {
        let worker = self.sessions.get(&session).copied();
        let lease = self.leases.get(attempt.job).filter(|lease| lease.attempt == attempt);
        if worker.is_none() || lease.map(|lease| lease.worker) != worker {
            return;
        }
        self.mark_answered(attempt);
        self.release(attempt.job);
        let detail = "its report made the coordinator panic: see the quarantine".into();
        self.park(now, attempt.job, Fault { kind: FaultKind::Cancelled, detail }, effects);
    }

    /// The grant that the report answers.
    fn check_grant(&self, worker: WorkerId, report: &AttemptReport) -> Result<Grant, String> {
        let attempt = report.attempt;
        let entry = self.entries.get(&attempt.job).ok_or_else(|| "no such job".to_owned())?;
        let grant = entry.state.grants.iter().find(|g| g.epoch == attempt.epoch);
        let grant = grant.ok_or_else(|| format!("attempt {attempt} was never granted"))?;
        if grant.worker != worker && !planted::is(Bug::LeaseNotChecked) {
            return Err(format!("attempt {attempt} was granted to another worker"));
        }
        if report.key != *entry.job.key {
            return Err(format!("the report names {} instead of the job", report.key.source));
        }
        if report.signer != SignerKind::WorkerKey {
            return Err("the report does not say that a worker's key signs it".into());
        }
        Ok(*grant)
    }

    /// What is wanted now, if the report is about that and claims no better index.
    fn still_wanted(&self, report: &AttemptReport) -> Option<Assigned> {
        let wanted = Assigned::of(&self.assignment(report.attempt));
        let same = artifact_set_digest(&wanted.artifacts) == report.artifact_set;
        (same && report.index >= wanted.index).then_some(wanted)
    }

    /// The attempt rebuilt what is no longer wanted: again, now.
    fn supersede(&mut self, now: Now, attempt: AttemptId, effects: &mut Effects) -> Answer {
        self.mark_answered(attempt);
        self.write_state(attempt.job, effects);
        if self.leases.get(attempt.job).is_some_and(|l| l.attempt == attempt) {
            self.release(attempt.job);
            let waiting = match self.entries.get(&attempt.job).map(|e| &e.state.place) {
                Some(StoredPlace::Leased { waiting, .. }) => *waiting,
                _ => return Answer::Superseded,
            };
            let place = StoredPlace::Queued { waiting, due: UtcMillis(0) };
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

    /// Writes an accepted report; a verdict gets the number of a build.
    fn keep(
        &mut self,
        now: Now,
        worker: WorkerId,
        report: &AttemptReport,
        signed: &SignedReport,
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
        effects.batch.put(ReportRecord::key(sequence), stored::write(&record));
        effects.batch.put(SignedReport::key(sequence), stored::write(signed));
        effects.facts.push(Fact::Accepted(Arc::new(record), sequence));
    }

    /// A verdict about `artifacts` was accepted: it decides the job, unless an earlier one did.
    fn verdict(
        &mut self,
        now: Now,
        worker: WorkerId,
        attempt: AttemptId,
        artifacts: &[Artifact],
        reproduced: bool,
        effects: &mut Effects,
    ) {
        let id = attempt.job;
        self.mark_answered(attempt);
        let Some(entry) = self.entries.get(&id) else { return };
        let grants = entry.state.grants.iter();
        let overtaken =
            grants.filter(|g| g.build.is_some()).any(|g| g.epoch > attempt.epoch) && !reproduced;
        if overtaken {
            // A later attempt called for its retry already: this one neither delays nor stops it.
            self.write_state(id, effects);
            return;
        }
        if let Some(lease) = self.release(id).filter(|lease| lease.attempt != attempt) {
            self.stop(&lease, "the report of another attempt decided the job", effects);
        }
        let joined = self.has_others(id, artifacts) && !planted::is(Bug::JoinedForgotten);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if matches!(entry.state.place, StoredPlace::Decided | StoredPlace::Dropped) {
            self.write_state(id, effects);
            return;
        }
        entry.state.faults = 0;
        entry.state.avoid = None;
        if joined {
            // Memberships joined while the attempt ran: theirs was not built yet.
            entry.state.confirmed.clear();
            self.queue_again(now, id, PRIORITY_NEW, UtcMillis(0), effects);
        } else if reproduced {
            self.confirm(now, worker, id, effects);
        } else {
            self.retry(now, id, effects);
        }
    }

    /// True when artifacts are wanted that are not among these.
    fn has_others(&self, id: InputId, artifacts: &[Artifact]) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        let known: BTreeSet<_> = artifacts.iter().map(|a| (&a.file, &a.sha256)).collect();
        let memberships = entry.job.memberships();
        let mut wanted = memberships.iter().flat_map(|m| &m.artifacts);
        wanted.any(|(_, a)| !known.contains(&(&a.file, &a.sha256)))
    }

    /// One more key found the job reproduced; enough of them decide it.
    fn confirm(&mut self, now: Now, worker: WorkerId, id: InputId, effects: &mut Effects) {
        let wanted = self.settings.confirmations.max(1) as usize;
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if !entry.state.confirmed.contains(&worker) || planted::is(Bug::OneKeyConfirms) {
            entry.state.confirmed.push(worker);
        }
        let enough = entry.state.confirmed.len() >= wanted;
        if enough {
            entry.state.retries = 0;
            entry.state.confirmed.clear();
            self.move_to(now, id, StoredPlace::Decided, effects);
        } else {
            let priority = waiting_priority(&entry.state.place);
            self.queue_again(now, id, priority, UtcMillis(0), effects);
        }
    }

    /// The retry that the policy allows, counted from now, the acceptance.
    fn retry(&mut self, now: Now, id: InputId, effects: &mut Effects) {
        let Some(entry) = self.entries.get(&id) else { return };
        let retries = entry.state.retries;
        let max_retries = self.merged_policy(&entry.job.memberships()).max_retries;
        let next = RetryPolicy { max_retries, ..self.settings.retry }.next(retries);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.state.confirmed.clear();
        match next {
            Some(delay) => {
                entry.state.retries = retries + 1;
                let mut since = now.utc;
                if let StoredPlace::Leased { waiting, .. } = entry.state.place
                    && planted::is(Bug::RetryFromQueued)
                {
                    since = waiting.queued_at;
                }
                let due = since.plus(delay);
                self.queue_again(now, id, PRIORITY_RETRY, due, effects);
            }
            None => self.move_to(now, id, StoredPlace::Decided, effects),
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
                    Some(build) if known && file.len() <= FILE_BYTES_MAX => Ok(Some(build)),
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
        let difference = (build, file.into());
        effects.batch.put(DifferenceRecord::key(&difference), stored::write(&record));
        effects.facts.push(Fact::Difference(build, difference.1, record));
    }
}

/// Compares what the report says of its assignment with the assignment: a worker must not lend its
/// verdict a better index than vouched for the artifacts.
fn check_assigned(assigned: &Assigned, report: &AttemptReport) -> Result<(), String> {
    if report.index != assigned.index || report.index_sha256 != assigned.index_sha256 {
        return Err("the report names another index than the assignment".into());
    }
    Ok(())
}

fn signed_bytes(signed: &SignedReport) -> usize {
    let links = signed.links.iter().map(|link| link.metablock.len() + link.file.len() + 8);
    signed.statement.len() + links.sum::<usize>()
}

/// The judgement, unless a bug that spoils it is planted.
fn misjudged(judgement: Judgement) -> Judgement {
    match judgement {
        Judgement::Fault(fault)
            if planted::is(Bug::FaultIsVerdict)
                || (planted::is(Bug::CancelledIsFailed) && fault.kind == FaultKind::Cancelled) =>
        {
            Judgement::BuildFailed { reason: fault.detail }
        }
        Judgement::Verdicts(rows) if planted::is(Bug::DiffersIsReproduced) => Judgement::Verdicts(
            rows.into_iter().map(|(file, _)| (file, Verdict::Reproduced)).collect(),
        ),
        judgement => judgement,
    }
}

fn waiting_priority(place: &StoredPlace) -> i32 {
    match place {
        StoredPlace::Queued { waiting, .. }
        | StoredPlace::Leased { waiting, .. }
        | StoredPlace::Parked { waiting, .. } => waiting.priority,
        StoredPlace::Decided | StoredPlace::Dropped => PRIORITY_RETRY,
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
        // By its name: scripts of operators look for it behind these words.
        Outcome::Fault(Fault { kind, detail }) => {
            let name = kind.name();
            format!("{label} attempt {attempt} ended in a fault of ours: {name}: {detail}")
        }
        other => format!("{label} attempt {attempt}: {}", other.in_words()),
    }
}
