use rebuilder_actors::domain::queue::SessionId;
use rebuilder_actors::domain::report::{AttemptReport, VerifiedReport};
use rebuilder_actors::protocol::{
    Artifact, AttemptId, Ending, FaultKind, InputId, WorkerId, artifact_set_digest,
};

use super::follow::worst_index;
use super::index::NEW;
use super::job::{Place, contains};
use super::queue_oracle::{Kind, Oracle};

/// Priority of a retry.
const RETRY: i32 = 2;

/// What a report means.
enum Meaning {
    Fault(FaultKind),
    Reproduced,
    NotReproduced,
}

impl Oracle {
    pub(super) fn reported(&mut self, session: SessionId, verified: &VerifiedReport) {
        let Some(worker) = self.at(session) else { return };
        let kind = self.judge(worker, verified);
        let attempt = verified.report().attempt;
        let now = self.now.monotonic;
        if let Some(live) = self.workers.get_mut(&worker).and_then(|w| w.session.as_mut()) {
            live.heard = now;
            if kind != Kind::Refused {
                live.running.retain(|running| *running != attempt);
                live.ended.insert(attempt);
                live.cancelled.retain(|(cancelled, _)| *cancelled != attempt);
            }
        }
        self.expected.answer = Some((attempt, kind));
    }

    fn judge(&mut self, worker: WorkerId, verified: &VerifiedReport) -> Kind {
        let report = verified.report();
        let attempt = report.attempt;
        if self.workers[&worker].key != *verified.worker() {
            return Kind::Refused;
        }
        let Some(job) = self.jobs.get(&attempt.job) else { return Kind::Refused };
        let grant = job.grants.iter().find(|grant| grant.epoch == attempt.epoch.0);
        let Some(grant) = grant.filter(|g| g.worker == worker && report.key == job.key) else {
            return Kind::Refused;
        };
        if grant.answered {
            return if grant.build { Kind::Accepted } else { Kind::Superseded };
        }
        let lease = job.lease().filter(|lease| lease.epoch == attempt.epoch.0);
        let current = lease.is_some();
        let asked = match lease.and_then(|lease| lease.assigned.clone()) {
            Some((artifacts, index)) => {
                if report.index != index || report.index_sha256.is_some() {
                    return Kind::Refused;
                }
                artifacts
            }
            None => {
                // What was assigned is forgotten: it must be what is wanted now.
                let artifacts: Vec<Artifact> = job.artifacts().into_iter().cloned().collect();
                let same = artifact_set_digest(&artifacts) == report.artifact_set;
                if !same || report.index < worst_index(job) {
                    self.supersede(attempt, current);
                    return Kind::Superseded;
                }
                artifacts
            }
        };
        let Some(meaning) = meaning(report, &asked) else { return Kind::Refused };
        match meaning {
            Meaning::Fault(_) if !current => return Kind::Superseded,
            Meaning::Fault(kind) => {
                self.answered(attempt);
                if is_of_the_machine(kind) {
                    self.machine(worker, true);
                }
                self.fault(attempt.job, kind);
            }
            Meaning::Reproduced | Meaning::NotReproduced => {
                self.machine(worker, false);
                let reproduced = matches!(meaning, Meaning::Reproduced);
                self.verdict(attempt, worker, &asked, reproduced);
            }
        }
        self.expected.accepted = true;
        Kind::Accepted
    }

    /// It built what is not wanted any more: again, at once.
    fn supersede(&mut self, attempt: AttemptId, current: bool) {
        self.answered(attempt);
        if current && let Some((stay, _)) = self.release(attempt.job) {
            self.put(attempt.job, Place::Waiting { stay, due: 0 });
        }
    }

    pub(super) fn answered(&mut self, attempt: AttemptId) {
        let Some(job) = self.jobs.get_mut(&attempt.job) else { return };
        for grant in job.grants.iter_mut().filter(|grant| grant.epoch == attempt.epoch.0) {
            grant.answered = true;
        }
    }

    fn verdict(
        &mut self,
        attempt: AttemptId,
        worker: WorkerId,
        asked: &[Artifact],
        reproduced: bool,
    ) {
        let (id, epoch) = (attempt.job, attempt.epoch.0);
        self.answered(attempt);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let later = job.grants.iter().any(|grant| grant.build && grant.epoch > epoch);
        for grant in job.grants.iter_mut().filter(|grant| grant.epoch == epoch) {
            grant.build = true;
        }
        if later && !reproduced {
            return;
        }
        let priority = job.stay().map_or(RETRY, |stay| stay.priority);
        let released = self.release(id);
        if let Some((stay, lease)) = released {
            if lease.epoch != epoch {
                self.stop(id, &lease);
            }
            // Where it goes is decided below; it is with nobody.
            self.put(id, Place::Waiting { stay, due: 0 });
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if matches!(job.place, Place::Decided | Place::Dropped) {
            return;
        }
        job.faults = 0;
        job.avoid = None;
        let asked: Vec<&Artifact> = asked.iter().collect();
        let others = job.artifacts().into_iter().any(|artifact| !contains(&asked, artifact));
        if others {
            job.confirmed.clear();
            self.queue_again(id, NEW, 0);
        } else if reproduced {
            self.confirmed(id, worker, priority);
        } else {
            self.retry(id);
        }
    }

    fn confirmed(&mut self, id: InputId, worker: WorkerId, priority: i32) {
        let enough = self.settings.confirmations.max(1) as usize;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.confirmed.contains(&worker) {
            job.confirmed.push(worker);
        }
        if job.confirmed.len() < enough {
            self.queue_again(id, priority, 0);
            return;
        }
        job.confirmed.clear();
        job.retries = 0;
        self.put(id, Place::Decided);
    }

    /// 24, 48, 72 hours … after now, as often as somebody who wants it allows.
    fn retry(&mut self, id: InputId) {
        let most = self.retries_max(&self.jobs[&id]);
        let base = i64::try_from(self.settings.retry.delay_base.as_millis()).unwrap_or(i64::MAX);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.confirmed.clear();
        if most.is_some_and(|most| job.retries >= most) {
            self.put(id, Place::Decided);
            return;
        }
        job.retries += 1;
        let due = self.now.utc.0 + base * i64::from(job.retries);
        self.queue_again(id, RETRY, due);
    }
}

/// No other machine need have it.
fn is_of_the_machine(kind: FaultKind) -> bool {
    [FaultKind::WorkerFailed, FaultKind::DiskFull, FaultKind::BackendMissing].contains(&kind)
}

/// `None`: it is not about what was asked.
fn meaning(report: &AttemptReport, asked: &[Artifact]) -> Option<Meaning> {
    if report.artifact_set != artifact_set_digest(asked) {
        return None;
    }
    let files = match &report.attempted.ending {
        Ending::Fault(fault) => return Some(Meaning::Fault(fault.kind)),
        Ending::BuildFailed { .. } => return Some(Meaning::NotReproduced),
        Ending::Built(files) => files,
    };
    if files.len() != asked.len() {
        return None;
    }
    let mut all = true;
    for artifact in asked {
        let rebuilt = files.iter().find(|rebuilt| rebuilt.file == artifact.file)?;
        all &= rebuilt.output.map(|output| output.sha256) == artifact.sha256;
    }
    Some(if all { Meaning::Reproduced } else { Meaning::NotReproduced })
}
