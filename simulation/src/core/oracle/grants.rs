use rebuilder_actors::domain::queue::{Effects, Send};
use rebuilder_actors::protocol::wire::v1::coordinator::Message;
use rebuilder_actors::protocol::{Assignment, GrantNumber, InputId, WorkerId};

use super::farm::is_more;
use super::job::{Grant, Job, Lease, Place, Stay, contains};
use super::queue_oracle::Oracle;

/// An older attempt's report is refused.
const GRANTS_MAX: usize = 64;
const DAY_MS: i64 = 86_400_000;

impl Oracle {
    /// Takes each choice of the queue, and asks whether it was allowed and whether one is missing.
    pub(super) fn follow_grants(&mut self, effects: &Effects) -> Result<(), String> {
        for send in &effects.sends {
            let Send::Worker(session, Message::Assign { number, assignment }) = send else {
                continue;
            };
            let attempt = assignment.attempt;
            let worker = self.at(*session).ok_or_else(|| format!("{attempt} went to nobody"))?;
            let again = &mut self.expected.again;
            if let Some(at) = again.iter().position(|expected| *expected == attempt) {
                again.swap_remove(at);
                continue;
            }
            self.granted(worker, *number, assignment)?;
        }
        if let Some(attempt) = self.expected.again.first() {
            return Err(format!("attempt {attempt} should be assigned again"));
        }
        self.check_none_is_missing()
    }

    fn granted(
        &mut self,
        worker: WorkerId,
        number: GrantNumber,
        assignment: &Assignment,
    ) -> Result<(), String> {
        let attempt = assignment.attempt;
        let bad = |why: &str| Err(format!("attempt {attempt} of worker {worker}: {why}"));
        let Some(job) = self.jobs.get(&attempt.job) else { return bad("there is no such job") };
        if !job.ready {
            return bad("the job is not ready");
        }
        if attempt.epoch.0 != job.epoch + 1 {
            return bad("the epoch is not the next one");
        }
        if self.free_slots(worker) == 0 {
            return bad("the worker has no free slot");
        }
        if !self.may_have(worker, job) {
            return bad("the worker should not have it");
        }
        if let Some(before) = self.before(worker, job) {
            return bad(&format!("job {before} comes before"));
        }
        let wanted = job.artifacts();
        let all = wanted.len() == assignment.artifacts.len()
            && assignment.artifacts.iter().all(|artifact| contains(&wanted, artifact));
        if !all {
            return bad("it is not about every artifact that is wanted");
        }
        self.begin(worker, number, assignment);
        Ok(())
    }

    fn begin(&mut self, worker: WorkerId, number: GrantNumber, assignment: &Assignment) {
        let attempt = assignment.attempt;
        let deadline = self.now.monotonic.plus(self.settings.lease);
        let session = self.workers.get(&worker).and_then(|worker| worker.session.as_ref());
        let boot = session.map(|session| session.boot);
        let Some(job) = self.jobs.get_mut(&attempt.job) else { return };
        let Some(stay) = job.stay() else { return };
        job.epoch = attempt.epoch.0;
        job.grants.push(Grant {
            epoch: job.epoch,
            worker,
            number: number.0,
            answered: false,
            build: false,
        });
        if job.grants.len() > GRANTS_MAX {
            job.grants.remove(0);
        }
        let lease = Lease {
            epoch: job.epoch,
            worker,
            number: number.0,
            deadline,
            boot,
            assigned: Some((assignment.artifacts.clone(), assignment.index)),
            spooled: false,
        };
        self.put(attempt.job, Place::Leased { stay, lease });
    }

    /// A worker that suits, or the best of those that merely fit while none suits.
    fn may_have(&self, worker: WorkerId, job: &Job) -> bool {
        let Some(session) = self.attentive(worker) else { return false };
        if self.suits(worker, session, job) {
            return true;
        }
        let others = || self.workers.keys().filter_map(|id| Some((*id, self.attentive(*id)?)));
        let one_suits = others().any(|(id, other)| self.suits(id, other, job));
        let one_is_larger = job.memory_over.is_some()
            && others().any(|(id, other)| {
                is_more(other.free_memory, session.free_memory) && self.fits(id, &other.offer, job)
            });
        self.fits(worker, &session.offer, job) && !one_suits && !one_is_larger
    }

    /// A ready job that this worker should have before this one.
    fn before(&self, worker: WorkerId, than: &Job) -> Option<InputId> {
        let rank = |stay: Stay| (stay.priority, stay.since.div_euclid(DAY_MS));
        let than = than.stay().map(rank);
        let mut others = self.jobs.values().filter(|job| job.ready);
        let before = others.find(|job| job.stay().map(rank) < than && self.may_have(worker, job));
        before.map(|job| job.id)
    }

    fn check_none_is_missing(&self) -> Result<(), String> {
        if !self.jobs.values().any(|job| job.ready) {
            return Ok(());
        }
        for worker in self.workers.keys().filter(|worker| self.free_slots(**worker) > 0) {
            let mut ready = self.jobs.values().filter(|job| job.ready);
            if let Some(job) = ready.find(|job| self.may_have(*worker, job)) {
                return Err(format!("worker {worker} is free and should have job {}", job.id));
            }
        }
        Ok(())
    }
}
