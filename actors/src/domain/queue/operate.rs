use super::effect::{Effects, Send};
use super::event::{Now, Order, RequestId};
use super::lease::Lease;
use super::queue_state::Queue;
use crate::planted::{self, Bug};
use crate::protocol::stored::{self, InvitationRecord, Record, StoredPlace, WorkerRecord};
use crate::protocol::text::counted;
use crate::protocol::wire::CloseCode;
use crate::protocol::wire::v1::coordinator::Message;
use crate::protocol::wire::v1::ctl::{PackageFilter, RefusalCode, Response};
use crate::protocol::wire::v1::worker::Running;
use crate::protocol::{AttemptId, GrantNumber, InputId, Stage, UtcMillis, WorkerId};

impl Queue {
    /// Carries out an operator's order.
    pub(super) fn order(
        &mut self,
        now: Now,
        request: RequestId,
        order: Order,
        effects: &mut Effects,
    ) {
        let answer = match order {
            Order::Invite { id, secret_sha256, ttl_secs } => {
                let expires = UtcMillis(now.utc.0 + i64::from(ttl_secs) * 1000);
                let record = InvitationRecord { secret_sha256, expires, used_by: None };
                effects.batch.put(InvitationRecord::key(id), stored::write(&record));
                self.invitations.insert(id, record);
                self.forget_invitations(now, effects);
                // The session adds the secret, which is not known here.
                Response::Invitation { token: String::new(), expires }
            }
            Order::Revoke { worker } => self.revoke(now, &worker, effects),
            Order::Push { filter, priority } => match self.matching(&filter) {
                Ok(jobs) => self.push(now, &jobs, priority, effects),
                Err(text) => refused(RefusalCode::Invalid, text),
            },
            Order::Drop { filter } => match self.matching(&filter) {
                Ok(jobs) => self.drop_jobs(now, &jobs, effects),
                Err(text) => refused(RefusalCode::Invalid, text),
            },
            Order::PushJobs { jobs, priority } => self.push(now, &jobs, priority, effects),
            Order::DropJobs { jobs } => self.drop_jobs(now, &jobs, effects),
        };
        effects.sends.push(Send::Reply(request, vec![answer]));
    }

    /// Invitations that expired a day ago are of no use to anybody.
    fn forget_invitations(&mut self, now: Now, effects: &mut Effects) {
        let day = 24 * 3600 * 1000;
        self.invitations.retain(|id, invitation| {
            let keep = invitation.expires.0 + day > now.utc.0;
            if !keep {
                effects.batch.delete(InvitationRecord::key(id));
            }
            keep
        });
    }

    fn revoke(&mut self, now: Now, worker: &str, effects: &mut Effects) -> Response {
        let id = match self.find_workers(worker).as_slice() {
            [id] => *id,
            [] => return refused(RefusalCode::NotFound, format!("no worker `{worker}`")),
            several => {
                let text =
                    format!("{} workers are called `{worker}`: name one by its key", several.len());
                return refused(RefusalCode::Invalid, text);
            }
        };
        let Some(holder) = self.workers.get_mut(&id) else {
            return refused(RefusalCode::NotFound, format!("no worker `{worker}`"));
        };
        holder.record.revoked_at = Some(now.utc);
        effects.batch.put(WorkerRecord::key(holder.key), stored::write(&holder.record));
        let text = format!("worker {id} ({}) revoked by an operator", holder.record.name);
        Self::line(effects, now, true, text.clone());
        let held: Vec<InputId> = holder.held.iter().copied().collect();
        let session = holder.session.take();
        for job in held {
            self.lose(now, job, "its worker was revoked".into(), effects);
        }
        self.idle.remove(&id);
        self.changed.insert(id);
        effects.sends.push(Send::Revoked(self.workers[&id].key));
        if let Some(session) = session {
            self.sessions.remove(&session.id);
            let reason = "an operator revoked this key".into();
            effects.sends.push(Send::Close {
                session: session.id,
                code: CloseCode::Revoked,
                reason,
            });
        }
        self.open_to_knocking(now, id, effects);
        Response::Done { affected: 1, text }
    }

    /// Workers with this key, else this number, else this name: workers choose their names, and
    /// none may shield another one, or itself, by taking a key or number for a name.
    fn find_workers(&self, worker: &str) -> Vec<WorkerId> {
        let by_key = worker.parse().ok().and_then(|key| self.worker_keys.get(&key));
        let by_number = worker.parse().ok().map(WorkerId);
        let by_number = by_number.filter(|id| self.workers.contains_key(id));
        if let Some(id) = by_key.copied().or(by_number) {
            return vec![id];
        }
        let named = self.workers.values().filter(|w| w.record.name == worker);
        named.map(|w| w.record.id).collect()
    }

    /// A job that runs is left to the attempt that it has: it is what was asked for.
    fn push(
        &mut self,
        now: Now,
        jobs: &[InputId],
        priority: i32,
        effects: &mut Effects,
    ) -> Response {
        let (mut queued, mut running) = (0_u32, Vec::new());
        for id in jobs.iter().copied() {
            let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.wanted()) else {
                continue;
            };
            if matches!(entry.state.place, StoredPlace::Leased { .. }) {
                running.push(id);
                continue;
            }
            entry.state.retries = 0;
            entry.state.faults = 0;
            entry.state.confirmed.clear();
            entry.state.avoid = None;
            entry.state.memory_over = None;
            self.queue_again(now, id, priority, UtcMillis(0), effects);
            queued += 1;
        }
        let mut said = Vec::new();
        if queued > 0 || running.is_empty() {
            said.push(format!("{} queued with priority {priority}", counted(queued, "job")));
        }
        if !running.is_empty() {
            said.push(self.already_running(&running));
        }
        let text = said.join("; ");
        Self::line(effects, now, false, format!("{text}, by an operator"));
        Response::Done { affected: queued.saturating_add(length(running.len())), text }
    }

    /// `1 job runs already: hello 1 (amd64), attempt 1-8 on oak`.
    fn already_running(&self, jobs: &[InputId]) -> String {
        let name = |id: &InputId| {
            let entry = self.entries.get(id)?;
            let StoredPlace::Leased { worker, .. } = &entry.state.place else { return None };
            let attempt = AttemptId { job: *id, epoch: entry.state.epoch };
            let worker = match self.workers.get(worker) {
                Some(holder) => holder.record.name.clone(),
                None => format!("worker {worker}"),
            };
            Some(format!("{}, attempt {attempt} on {worker}", entry.job.label()))
        };
        let mut named: Vec<String> = jobs.iter().take(NAMED_MAX).filter_map(name).collect();
        if jobs.len() > NAMED_MAX {
            named.push(format!("and {} more", jobs.len() - NAMED_MAX));
        }
        let run = if jobs.len() == 1 { "runs" } else { "run" };
        format!("{} {run} already: {}", counted(length(jobs.len()), "job"), named.join("; "))
    }

    /// One that is dropped already stays so, and is no failure; one that is decided is in no queue.
    fn drop_jobs(&mut self, now: Now, jobs: &[InputId], effects: &mut Effects) -> Response {
        let (mut dropped, mut already, mut decided) = (0_u32, 0_u32, 0_u32);
        for id in jobs.iter().copied() {
            let Some(entry) = self.entries.get(&id).filter(|entry| entry.wanted()) else {
                continue;
            };
            match entry.state.place {
                StoredPlace::Dropped => {
                    already += 1;
                    continue;
                }
                StoredPlace::Decided => {
                    decided += 1;
                    continue;
                }
                StoredPlace::Leased { .. } => {
                    self.cancel(id, "an operator dropped the job", effects);
                }
                StoredPlace::Queued { .. } | StoredPlace::Parked { .. } => {}
            }
            self.move_to(now, id, StoredPlace::Dropped, effects);
            dropped += 1;
        }
        let mut text = format!("{} dropped until the version changes", counted(dropped, "job"));
        if already > 0 {
            text.push_str(&format!("; {} dropped before", counted(already, "job")));
        }
        if decided > 0 {
            let is = if decided == 1 { "is" } else { "are" };
            let jobs = counted(decided, "job");
            text.push_str(&format!("; {jobs} {is} decided and not in the queue"));
        }
        Self::line(effects, now, false, format!("{text}, by an operator"));
        Response::Done { affected: dropped.saturating_add(already), text }
    }

    /// Tells the worker that has the job to stop.
    pub(super) fn cancel(&mut self, id: InputId, reason: &str, effects: &mut Effects) {
        if let Some(lease) = self.release(id) {
            self.stop(&lease, reason, effects);
        }
    }

    /// Ends an attempt whose lease was taken. Its epoch is passed over, so that a status which
    /// crossed the order to stop does not bring the lease back.
    pub(super) fn stop(&mut self, lease: &Lease, reason: &str, effects: &mut Effects) {
        if let Some(entry) = self.entries.get_mut(&lease.attempt.job)
            && entry.state.epoch == lease.attempt.epoch
            && !planted::is(Bug::CancelledLeaseRevived)
        {
            entry.state.epoch.0 += 1;
        }
        let session = self.workers.get_mut(&lease.worker).and_then(|w| w.session.as_mut());
        if let Some(session) = session {
            // The slot is occupied until the worker tells that the processes are gone.
            session.running.push(Running {
                attempt: lease.attempt,
                stage: lease.stage.unwrap_or(Stage::Fetch),
                log_bytes: lease.log_bytes,
            });
            // Of a grant that went out over an earlier connection nothing is on its way.
            let sent = if session.status_received { lease.number } else { GrantNumber(0) };
            session.cancelled.insert(lease.attempt, sent);
            let message = Message::Cancel { attempt: lease.attempt, reason: reason.into() };
            effects.sends.push(Send::Worker(session.id, message));
        }
    }

    /// Wanted jobs that a filter names: one of whose memberships and artifacts matches all of it.
    /// A status follows from reports, which the queue does not keep: the read model chooses by it.
    fn matching(&self, filter: &PackageFilter) -> Result<Vec<InputId>, String> {
        if filter.status.is_some() {
            return Err("the queue knows no status of packages".into());
        }
        let matcher =
            crate::domain::filter::PackageMatch::new(filter).map_err(|e| e.to_string())?;
        let entries = self.entries.values().filter(|e| e.wanted() && matcher.job(&e.job));
        Ok(entries.map(|entry| entry.job.id).collect())
    }
}

/// Running jobs that an answer names.
const NAMED_MAX: usize = 5;

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn refused(code: RefusalCode, text: String) -> Response {
    Response::Refused { code, text }
}
