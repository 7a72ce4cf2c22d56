use std::sync::Arc;

use rebuilder_actors::domain::report::{
    AttemptReport, LogDigest, VerifiedReport, sign_verified, verify_known,
};
use rebuilder_actors::domain::worker::Event;
use rebuilder_actors::protocol::stored::Spooled;
use rebuilder_actors::protocol::{
    Assignment, AttemptId, Attempted, Ending, EnvironmentKnowledge, FaultKind, Isolation, Sha256,
    SignerKind, Stage, UtcMillis, artifact_set_digest,
};

use super::calendar::Happening;
use super::packages::{any_fault, fault};
use super::trouble::Trouble;
use super::worker::{Kept, Worker};
use super::world::{DAY, MINUTE, SECOND, World};
use crate::observation::Observation;

/// A build that goes on.
pub(super) struct Running {
    pub(super) assignment: Assignment,
    hangs: bool,
}

impl World {
    pub(super) fn start_build(&mut self, number: usize, assignment: Assignment) {
        let attempt = assignment.attempt;
        let hang = self.strength(Trouble::HangBuild);
        let hangs = hang > 0 && self.random.percent(hang);
        let slow = self.workers[number].is_slow && self.strength(Trouble::SlowBuild) > 0;
        let duration = self.random.of(MINUTE..20 * MINUTE) * if slow { 8 } else { 1 };
        let limit = u64::from(assignment.limits.build_secs_max) * SECOND;
        let worker = &mut self.workers[number];
        let boot = worker.boot;
        worker.running.insert(attempt, Running { assignment, hangs });
        let duration = if hangs { limit } else { duration };
        self.after(duration, Happening::Built(number, boot, attempt));
    }

    /// A build that was to stop is gone; its end may have come first.
    pub(super) fn stopped(&mut self, number: usize, boot: u32, attempt: AttemptId) {
        let worker = &mut self.workers[number];
        if worker.up && worker.boot == boot && worker.running.remove(&attempt).is_some() {
            self.machine_handles(number, Event::Ended(attempt));
        }
    }

    /// A build ended: its report is signed and kept before anybody hears of it.
    pub(super) fn built(&mut self, number: usize, boot: u32, attempt: AttemptId) {
        let worker = &mut self.workers[number];
        if !worker.up || worker.boot != boot {
            return;
        }
        let Some(running) = worker.running.remove(&attempt) else { return };
        let ending = self.ending(number, &running);
        let report = self.report(&running.assignment, ending);
        self.keep(number, &running.assignment, report, number, true);
        self.measure(number);
    }

    fn ending(&mut self, number: usize, running: &Running) -> Ending {
        if running.hangs {
            return fault(FaultKind::TimedOut(Stage::Build));
        }
        if self.is_broken(number) {
            let kinds = [FaultKind::WorkerFailed, FaultKind::BackendMissing, FaultKind::DiskFull];
            return fault(kinds[number % kinds.len()]);
        }
        let assignment = &running.assignment;
        let package = self.packages.iter().find(|p| *p.name() == *assignment.key.source);
        let Some(package) = package else { return fault(FaultKind::InputsUnavailable) };
        let worker = &self.workers[number];
        if package.memory > worker.memory {
            return fault(FaultKind::OutOfMemory);
        }
        if self.now < self.outage_until && self.random.percent(50) {
            let gone = self.random.percent(30);
            let kind = if gone { FaultKind::InputsUnavailable } else { FaultKind::FetchFailed };
            return fault(kind);
        }
        let strength = if self.trouble { self.faults.strength(Trouble::BrokenBuild) } else { 0 };
        if strength > 0 && self.random.percent(worker.faults * strength / 2) {
            return any_fault(&mut self.random);
        }
        package.build(&mut self.random, assignment)
    }

    /// True on the days of one worker after the other; more days are bad where it is often so.
    fn is_broken(&self, number: usize) -> bool {
        let strength = self.strength(Trouble::BrokenMachine);
        let day = self.now / DAY + number as u64;
        strength > 0 && day.is_multiple_of(18 / strength)
    }

    /// Signs a report with the key of worker `signer` and keeps it on the disk of worker `number`.
    /// `honest`: it was granted, and says what the builder did.
    pub(super) fn keep(
        &mut self,
        number: usize,
        assignment: &Assignment,
        report: AttemptReport,
        signer: usize,
        honest: bool,
    ) {
        let attempt = report.attempt;
        let Some(verified) = self.sign(&report, assignment, signer) else {
            self.fail("simulation", format!("the report of attempt {attempt} cannot be verified"));
            return;
        };
        let signed = verified.signed().clone();
        let log_bytes = report.log.size;
        let spooled = Spooled { signed, log_bytes };
        let kept = Kept { spooled: spooled.clone(), verified };
        // A report ends its build, also one that was made up.
        self.workers[number].running.remove(&attempt);
        self.workers[number].disk.insert(attempt, kept);
        let ending = Arc::new(report.attempted.ending);
        self.observe(&Observation::Signed { attempt, worker: number, ending, honest });
        self.machine_handles(number, Event::Kept(attempt, spooled));
        if log_bytes > 0 {
            self.upload(number, attempt);
        }
    }

    /// What a coordinator would make of the signed report. Signatures are made for all, and
    /// verified for one in sixteen: that costs as much as seventy events.
    fn sign(
        &mut self,
        report: &AttemptReport,
        assignment: &Assignment,
        signer: usize,
    ) -> Option<VerifiedReport> {
        let Worker { key, known, .. } = &self.workers[signer];
        let made = sign_verified(report, &assignment.artifacts, None, key).ok()?;
        self.signed += 1;
        let verified = self.signed % 16 != 1 || verify_known(made.signed(), known).ok()? == made;
        verified.then_some(made)
    }

    pub(super) fn report(&mut self, assignment: &Assignment, ending: Ending) -> AttemptReport {
        let at = UtcMillis(i64::try_from(self.now).unwrap_or(i64::MAX));
        let size = self.random.of(0..3) * 1000;
        AttemptReport {
            attempt: assignment.attempt,
            key: assignment.key.clone(),
            artifact_set: artifact_set_digest(&assignment.artifacts),
            index: assignment.index,
            index_sha256: assignment.index_sha256,
            attempted: Attempted {
                ending,
                environment: EnvironmentKnowledge::Suite,
                isolation: Isolation::Full,
                sandbox: None,
                input_sha256: None,
                input_sha512: None,
                source_sha256: None,
                environment_sha256: None,
                started_at: at,
                finished_at: at,
            },
            log: LogDigest { sha256: Sha256::of(b""), size, truncated: false },
            worker_version: "simulation".into(),
            signer: SignerKind::WorkerKey,
        }
    }
}
