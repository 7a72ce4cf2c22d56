use core::time::Duration;
use std::collections::BTreeMap;

use subtle::ConstantTimeEq;

use super::effect::{Effects, Send};
use super::event::{Join, Now, SessionId};
use super::queue_state::Queue;
use super::worker::{Session, Worker};
use crate::planted::{self, Bug};
use crate::protocol::stored::{self, EnrolledBy, InvitationRecord, Record, WorkerRecord};
use crate::protocol::text::steers;
use crate::protocol::wire::{CloseCode, EnrolmentKind, enrolment_proof};
use crate::protocol::{GrantNumber, Sha256, WorkerId};

/// Silence after which a connection no longer keeps a second process with the same key out: one and
/// a half times the interval of statuses.
const LIVE: Duration = Duration::from_secs(15);

/// Keys that may ever be enrolled; their records stay, so that a revoked key is known for good.
/// Whoever knows the shared secret can make as many as this.
const WORKERS_MAX: usize = 65_536;

impl Queue {
    /// Lets a worker in, or says why not.
    pub(super) fn join(&mut self, now: Now, join: Join, effects: &mut Effects) {
        if let Err(reason) = check_offer(&join) {
            return refuse(&join, CloseCode::Protocol, reason, effects);
        }
        let known = self.worker_keys.get(&join.worker).copied();
        if let Some(id) = known
            && let Some(old) = self.workers[&id].session.as_ref()
            && old.boot != join.boot
            && now.monotonic.since(old.heard) < LIVE
        {
            return self.knock(id, join, effects);
        }
        if known.is_none() && self.workers.len() >= WORKERS_MAX {
            let reason = format!("{WORKERS_MAX} keys are enrolled: no further one is");
            return refuse(&join, CloseCode::Busy, reason, effects);
        }
        let (by, proof) = match self.admission(now, &join, known) {
            Ok(admission) => admission,
            Err((code, reason)) => return refuse(&join, code, reason, effects),
        };
        let id = self.register(now, &join, known, (by, proof.is_some()), effects);
        self.connect(now, id, join, effects);
        let session = self.workers[&id].session.as_ref().map(|s| s.id);
        if let Some(session) = session {
            effects.sends.push(Send::Admit { session, proof });
        }
    }

    /// Whether the key may work, how it came to that right, and the coordinator's own proof.
    fn admission(
        &self,
        now: Now,
        join: &Join,
        known: Option<WorkerId>,
    ) -> Result<(EnrolledBy, Option<Sha256>), (CloseCode, String)> {
        let record = known.map(|id| &self.workers[&id].record);
        if record.is_some_and(|r| r.revoked_at.is_some()) {
            let text = "the rights of this key were revoked: give the worker a new key";
            return Err((CloseCode::Revoked, text.into()));
        }
        let secret = self.proved_secret(now, join);
        let rules = &self.settings.enrolment;
        let own = secret.as_ref().ok().map(|(secret, _)| {
            let label = "coordinator";
            enrolment_proof(secret, &join.exporter, label, &join.worker, &rules.coordinator)
        });
        if rules.authorized.contains(&join.worker) {
            return Ok((EnrolledBy::List, own));
        }
        match (record.map(|r| r.by), secret) {
            (Some(by @ (EnrolledBy::SignupSecret | EnrolledBy::Invitation)), _) => Ok((by, own)),
            (_, Ok((_, by))) => Ok((by, own)),
            (_, Err(reason)) => Err((CloseCode::Denied, reason)),
        }
    }

    /// The secret that the worker proved to know, and which kind it is.
    fn proved_secret(&self, now: Now, join: &Join) -> Result<(Vec<u8>, EnrolledBy), String> {
        let rules = &self.settings.enrolment;
        let Some(enrolment) = &join.enrolment else {
            return Err(format!(
                "the key {} is not enrolled: list it in `authorized_workers`, or give the worker \
                 the `signup_secret` or an invitation (`rebuilder-ctl worker invite`)",
                join.worker
            ));
        };
        let (secret, by, wrong) = match enrolment.kind {
            EnrolmentKind::SignupSecret => {
                let secret = rules.signup_secret.clone();
                let secret = secret.ok_or("no `signup_secret` is configured here")?;
                (secret, EnrolledBy::SignupSecret, "the signup secret is wrong")
            }
            EnrolmentKind::Invitation { id } => {
                let unknown = "the invitation is unknown here, used, or expired";
                let invitation = self.invitations.get(&id).ok_or(unknown)?;
                let used = invitation.used_by.is_some_and(|by| by != join.worker);
                if used || (invitation.expires <= now.utc && invitation.used_by.is_none()) {
                    return Err(unknown.into());
                }
                (invitation.secret_sha256.0.to_vec(), EnrolledBy::Invitation, unknown)
            }
        };
        let (worker, coordinator) = (&join.worker, &rules.coordinator);
        let wanted = enrolment_proof(&secret, &join.exporter, "worker", worker, coordinator);
        if bool::from(wanted.0.ct_eq(&enrolment.proof.0)) {
            Ok((secret, by))
        } else {
            Err(wrong.into())
        }
    }

    /// Writes the worker's record where it is new or changed, and uses up its invitation.
    fn register(
        &mut self,
        now: Now,
        join: &Join,
        known: Option<WorkerId>,
        (by, proved): (EnrolledBy, bool),
        effects: &mut Effects,
    ) -> WorkerId {
        // Only who proved it uses it up: the number of an invitation is no secret.
        if let (EnrolledBy::Invitation, true, Some(enrolment)) = (by, proved, &join.enrolment)
            && let EnrolmentKind::Invitation { id } = enrolment.kind
            && let Some(invitation) = self.invitations.get_mut(&id)
            && invitation.used_by.is_none()
        {
            invitation.used_by = Some(join.worker);
            effects.batch.put(InvitationRecord::key(id), stored::write(invitation));
        }
        let id = known.unwrap_or_else(|| WorkerId(self.next(|c| &mut c.worker)));
        let old = self.workers.get(&id).map(|w| w.record.clone());
        let record = WorkerRecord {
            id,
            name: join.offer.name.clone(),
            enrolled_at: old.as_ref().map_or(now.utc, |r| r.enrolled_at),
            by,
            revoked_at: None,
        };
        if old.as_ref() != Some(&record) {
            effects.batch.put(WorkerRecord::key(join.worker), stored::write(&record));
        }
        match self.workers.get_mut(&id) {
            Some(worker) => worker.record = record,
            None => {
                self.worker_keys.insert(join.worker, id);
                let worker = Worker {
                    key: join.worker,
                    record,
                    held: Default::default(),
                    spooled: Default::default(),
                    session: None,
                    last_seen: None,
                    condition: Default::default(),
                    setback: Default::default(),
                };
                self.workers.insert(id, worker);
            }
        }
        id
    }

    /// Makes the connection the worker's live one.
    fn connect(&mut self, now: Now, id: WorkerId, join: Join, effects: &mut Effects) {
        self.turn_away(id, &join.address, effects);
        let worker = self.workers.get_mut(&id).expect("the worker was registered just before");
        let text = format!("worker {id} ({}) connected from {}", join.offer.name, join.address);
        Self::line(effects, now, false, text);
        if let Some(old) = worker.session.take() {
            self.sessions.remove(&old.id);
            let reason = "a newer connection of this worker replaces this one".into();
            effects.sends.push(Send::Close { session: old.id, code: CloseCode::Duplicate, reason });
        }
        self.sessions.insert(join.session, id);
        worker.last_seen = Some(now.utc);
        // Of the process before: what still holds is told again.
        worker.condition = Default::default();
        worker.session = Some(Session {
            id: join.session,
            boot: join.boot,
            address: join.address,
            capabilities: Vec::new(),
            offered: join.offer.backends.clone(),
            offer: join.offer,
            heard: now.monotonic,
            status_received: false,
            seen: GrantNumber(0),
            running: Vec::new(),
            cancelled: BTreeMap::new(),
            ended: Default::default(),
            free_memory: 0,
            free_disk: 0,
        });
        self.changed.insert(id);
    }

    /// A connection is gone; leases run on until their time.
    pub(super) fn leave(&mut self, now: Now, session: SessionId, effects: &mut Effects) {
        self.knocking.retain(|_, join| join.session != session);
        let Some(id) = self.sessions.get(&session).copied() else { return };
        if !planted::is(Bug::SessionsLeak) {
            self.sessions.remove(&session);
        }
        self.idle.remove(&id);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.session.as_ref().is_some_and(|live| live.id == session) {
            worker.session = None;
            self.changed.insert(id);
            let holds = match worker.held.len() {
                0 => String::new(),
                n => format!(
                    "; {n} of its jobs wait for it up to {} s",
                    self.settings.lease.as_secs()
                ),
            };
            let text = format!("worker {id} ({}) disconnected{holds}", worker.record.name);
            Self::line(effects, now, !holds.is_empty(), text);
        }
        self.open_to_knocking(now, id, effects);
    }
}

/// Closes the connection of a worker that is not let in, and says why.
pub(super) fn refuse(join: &Join, code: CloseCode, reason: String, effects: &mut Effects) {
    // The connection's own actor says it in the log, in bounds.
    effects.sends.push(Send::Close { session: join.session, code, reason });
}

/// Bounds what a worker may claim.
fn check_offer(join: &Join) -> Result<(), String> {
    let offer = &join.offer;
    let word = |s: &String| !s.is_empty() && s.len() <= 64 && !s.contains(steers);
    let list = |l: &Vec<String>| l.len() <= 64 && l.iter().all(word);
    if !word(&offer.name) {
        return Err("the worker's name must have 1 to 64 printable characters".into());
    }
    if !list(&offer.backends) || !list(&offer.architectures) || !list(&offer.tags) {
        return Err("at most 64 backends, architectures and tags of at most 64 characters".into());
    }
    if offer.slots == 0 || offer.slots > 256 {
        return Err(format!("{} slots: 1 to 256 are allowed", offer.slots));
    }
    Ok(())
}
