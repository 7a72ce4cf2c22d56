use std::collections::BTreeSet;
use std::sync::Arc;

use super::effect::{Effects, Fact};
use super::entry::{Entry, Job};
use super::event::Now;
use super::named::Named;
use super::place::stand;
use super::queue_state::{Queue, source_name};
use super::settings::MergedPolicy;
use crate::planted::{self, Bug};
use crate::port::{Doubt, Group};
use crate::protocol::stored::{
    self, ArchivesRecord, JobRecord, Membership, ProfileRecord, Record, StoredPlace, Waiting,
};
use crate::protocol::text::counted_len;
use crate::protocol::{
    Archive, Artifact, ArtifactId, Epoch, FaultKind, IndexState, InputId, JobKey, QueueId,
    SourceId, UtcMillis,
};

/// Priority of a job that is new.
pub(super) const PRIORITY_NEW: i32 = 1;
/// Priority of what an operator asked for: a sync leaves it alone.
const PRIORITY_MANUAL: i32 = 0;

impl Queue {
    /// Takes a page of an index in: what is as before costs no write.
    pub(super) fn sync_page(
        &mut self,
        now: Now,
        profile: &str,
        groups: Vec<Group>,
        effects: &mut Effects,
    ) {
        let mut named = self.syncs.remove(profile).unwrap_or_default();
        for group in groups {
            let release = named.release(group.release.as_deref());
            let id = self.sync_group(now, profile, group, effects);
            let several = self.entries.get(&id).is_some_and(|e| e.job.is_wanted_twice(profile));
            named.insert(id, release, several);
        }
        self.syncs.insert(profile.into(), named);
    }

    fn sync_group(
        &mut self,
        now: Now,
        profile: &str,
        mut group: Group,
        effects: &mut Effects,
    ) -> InputId {
        let key = JobKey {
            distribution: group.distribution.clone(),
            backend: core::mem::take(&mut group.distribution),
            source: core::mem::take(&mut group.source),
            version: core::mem::take(&mut group.version),
            architecture: core::mem::take(&mut group.architecture),
            input: core::mem::take(&mut group.input_name),
        };
        let archives = self.archives_id(&group.archives, effects);
        let known = self.by_key.get(&key).copied();
        let old_job = known.and_then(|id| self.entries.get(&id)).map(|e| e.job.clone());
        if let Some(job) = &old_job {
            self.keep_doubted(profile, job, &mut group);
        }
        if let Some(job) = old_job.as_ref().filter(|job| job.is_as(profile, &group, archives)) {
            return job.id;
        }
        let id = known.unwrap_or_else(|| InputId(self.next(|c| &mut c.input)));
        let mut memberships = old_job.as_ref().map(|job| job.memberships()).unwrap_or_default();
        let at =
            memberships.iter().position(|m| *m.profile == *profile && m.release == group.release);
        let old = at.map(|at| memberships.remove(at));
        // The old one is of the same job and release, and so of the same source package.
        let source = match &old {
            Some(old) => old.source,
            None => self.source_id(&key, group.release.as_deref()),
        };
        memberships.push(self.membership(profile, group, (source, archives), old.as_ref()));
        memberships.sort_by(|a, b| (&a.profile, &a.release).cmp(&(&b.profile, &b.release)));
        let key = old_job.as_ref().map_or_else(|| Arc::new(key), |job| job.key.clone());
        let first_seen = match &old_job {
            Some(job) if !planted::is(Bug::FirstSeenMoves) => job.first_seen,
            _ => Some(now.utc),
        };
        let job = Arc::new(Job::new(id, key, &memberships, first_seen));
        self.replace_job(now, job, old_job.as_deref(), effects);
        id
    }

    /// Artifacts of a job that the index still names, which could themselves not be read, stay in
    /// it: a stanza that cannot be read is not a package that is gone.
    fn keep_doubted(&self, profile: &str, job: &Job, group: &mut Group) {
        let Some(doubts) = self.doubts.get(profile) else { return };
        let memberships = job.memberships();
        let is_its = |m: &&Membership| *m.profile == *profile && m.release == group.release;
        let Some(old) = memberships.iter().find(is_its) else { return };
        let is_doubted = |artifact: &Artifact| {
            doubts.iter().any(|doubt| {
                doubt.release == group.release && doubt.package.as_ref() == Some(&artifact.name)
            })
        };
        let kept: Vec<Artifact> = old
            .artifacts
            .iter()
            .map(|(_, artifact)| artifact)
            .filter(|old| {
                is_doubted(old) && !group.artifacts.iter().any(|new| new.name == old.name)
            })
            .cloned()
            .collect();
        if !kept.is_empty() {
            group.artifacts.extend(kept);
            group.artifacts.sort_unstable_by(|a, b| (&a.file, a.sha256).cmp(&(&b.file, b.sha256)));
        }
    }

    /// Names of the binary packages of these jobs that a profile wants, with their release.
    fn names_of(&self, profile: &str, named: &Named) -> BTreeSet<(Option<Box<str>>, Box<str>)> {
        let entries = named.jobs().filter_map(|id| self.entries.get(&id));
        let memberships = entries.flat_map(|entry| entry.job.memberships());
        memberships
            .filter(|membership| *membership.profile == *profile)
            .flat_map(|m| m.artifacts.into_iter().map(move |(_, a)| (m.release.clone(), a.name)))
            .collect()
    }

    fn membership(
        &mut self,
        profile: &str,
        group: Group,
        (source, archives): (SourceId, i32),
        old: Option<&Membership>,
    ) -> Membership {
        let same = |artifact: &Artifact| {
            let artifacts = &old?.artifacts;
            artifacts.iter().find(|(_, a)| is_same(a, artifact)).map(|(id, _)| *id)
        };
        let artifacts = group
            .artifacts
            .into_iter()
            .map(|artifact| match same(&artifact) {
                Some(id) => (id, artifact),
                None => (ArtifactId(self.next(|c| &mut c.artifact)), artifact),
            })
            .collect();
        Membership {
            profile: profile.into(),
            release: group.release,
            source,
            input: group.input,
            source_file: group.source_file,
            archives,
            index: group.index,
            artifacts,
        }
    }

    fn source_id(&mut self, key: &JobKey, release: Option<&str>) -> SourceId {
        let name = source_name(&key.distribution, release, &key.source, &key.version);
        if let Some(id) = self.sources.get(&name) {
            return *id;
        }
        let id = SourceId(self.next(|c| &mut c.source));
        self.sources.insert(name, id);
        id
    }

    /// Puts a job that is new or changed into its place.
    fn replace_job(&mut self, now: Now, job: Arc<Job>, old: Option<&Job>, effects: &mut Effects) {
        let id = job.id;
        effects.batch.put(JobRecord::key(id), stored::write(&job.record()));
        effects.facts.push(Fact::Job(job.clone()));
        let Some(old) = old else {
            self.by_key.insert(job.key.clone(), id);
            let place = self.first_place(now, &job);
            self.entries.insert(id, Box::new(Entry::new(job, place)));
            self.index(now, id);
            self.write_state(id, effects);
            effects.facts.push(Fact::Placed(id, stand(&self.entries[&id])));
            return;
        };
        let before: BTreeSet<_> = old.artifacts().into_iter().map(|a| (a.file, a.sha256)).collect();
        let joined = job.artifacts().into_iter().any(|a| !before.contains(&(a.file, a.sha256)));
        self.unindex(id);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.job = job;
        if joined && !entry.state.confirmed.is_empty() {
            // They confirmed less than is asked now.
            entry.state.confirmed.clear();
            self.write_state(id, effects);
        }
        let due_again = match &self.entries[&id].state.place {
            StoredPlace::Decided => joined,
            StoredPlace::Parked { .. } => true,
            StoredPlace::Dropped => planted::is(Bug::DropForgotten),
            StoredPlace::Queued { .. } | StoredPlace::Leased { .. } => false,
        };
        self.hurry(id, effects);
        self.index(now, id);
        if due_again {
            self.queue_again(now, id, PRIORITY_NEW, UtcMillis(0), effects);
        }
    }

    fn first_place(&mut self, now: Now, job: &Job) -> StoredPlace {
        let MergedPolicy { priority, delay, .. } = self.merged_policy(&job.memberships());
        let due = if delay.is_zero() { UtcMillis(0) } else { now.utc.plus(delay) };
        let queue = QueueId(self.next(|c| &mut c.queue));
        StoredPlace::Queued { waiting: Waiting { queue, priority, queued_at: now.utc }, due }
    }

    /// A job that was never tried takes the policy of who joined, where they are sooner.
    fn hurry(&mut self, id: InputId, effects: &mut Effects) {
        let Some(entry) = self.entries.get(&id) else { return };
        let policy = self.merged_policy(&entry.job.memberships());
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let StoredPlace::Queued { waiting, due } = &mut entry.state.place else { return };
        if entry.state.epoch != Epoch(0) || waiting.priority == PRIORITY_MANUAL {
            return;
        }
        let wished = if policy.delay.is_zero() {
            UtcMillis(0)
        } else {
            waiting.queued_at.plus(policy.delay)
        };
        if policy.priority < waiting.priority || wished < *due {
            waiting.priority = waiting.priority.min(policy.priority);
            *due = wished.min(*due);
            self.write_state(id, effects);
            effects.facts.push(Fact::Placed(id, stand(&self.entries[&id])));
        }
    }

    /// The whole index was taken in: what it did not name is no longer wanted by this profile.
    pub(super) fn sync_ended(
        &mut self,
        now: Now,
        profile: Box<str>,
        index: IndexState,
        took_ms: u64,
        effects: &mut Effects,
    ) {
        let named = self.syncs.remove(&profile).unwrap_or_default();
        let kept = self.syncs_kept.remove(&profile).unwrap_or_default();
        let doubts = self.doubts.remove(&profile).unwrap_or_default();
        let doubts = Doubts::new(doubts, || self.names_of(&profile, &named));
        let left = Left { profile: &profile, kept: &kept, named: &named };
        let gone: Vec<InputId> = self
            .entries
            .values()
            // First what costs less: nearly all are named, and for all that they are wanted for.
            .filter(|e| left.may_be(&e.job) && left.is_any(&e.job))
            .filter(|e| !doubts.keep(&profile, &e.job))
            .map(|e| e.job.id)
            .collect();
        for id in &gone {
            self.leave_profile(now, *id, &left, effects);
        }
        let changed = self.profiles.get(&profile).is_none_or(|old| old.index != index);
        if changed {
            self.wake_unavailable(now, &profile, effects);
        }
        let text = format!(
            "profile {profile} synced in {took_ms} ms: {}, {} left the index",
            counted_len(named.jobs().count(), "job"),
            gone.len()
        );
        Self::line(effects, now, false, text);
        let record = ProfileRecord { index, synced_at: now.utc, synced_in_ms: took_ms };
        effects.batch.put(ProfileRecord::key(&profile), stored::write(&record));
        effects.facts.push(Fact::Synced(profile.clone(), record.clone()));
        self.profiles.insert(profile, record);
    }

    fn leave_profile(&mut self, now: Now, id: InputId, left: &Left<'_>, effects: &mut Effects) {
        let stays = planted::is(Bug::GoneVersionBuilt);
        if !stays {
            self.unindex(id);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let mut memberships = entry.job.memberships();
        memberships.retain(|m| !left.is(id, m) && !planted::is(Bug::ScopeWipesOther));
        let Job { key, first_seen, .. } = &*entry.job;
        let job = Arc::new(Job::new(id, key.clone(), &memberships, *first_seen));
        entry.job = job.clone();
        if !stays {
            self.index(now, id);
        }
        effects.batch.put(JobRecord::key(id), stored::write(&job.record()));
        effects.facts.push(Fact::Job(job));
    }

    /// A changed index may bring what was not to be had.
    fn wake_unavailable(&mut self, now: Now, profile: &str, effects: &mut Effects) {
        let waiting: Vec<(InputId, i32)> = self
            .parked
            .iter()
            .filter_map(|id| {
                let entry = &self.entries[id];
                let StoredPlace::Parked { fault, waiting, .. } = &entry.state.place else {
                    return None;
                };
                if fault.kind != FaultKind::InputsUnavailable {
                    return None;
                }
                entry.job.is_wanted_by(profile).then_some((*id, waiting.priority))
            })
            .collect();
        for (id, priority) in waiting {
            self.queue_again(now, id, priority, UtcMillis(0), effects);
        }
    }

    fn archives_id(&mut self, archives: &Arc<Vec<Archive>>, effects: &mut Effects) -> i32 {
        if let Some(id) = self.archives.get(archives) {
            return *id;
        }
        let id = self.next(|c| &mut c.archives);
        let record = ArchivesRecord { archives: archives.to_vec() };
        effects.batch.put(ArchivesRecord::key(id), stored::write(&record));
        self.archives.insert(archives.clone(), id);
        self.archives_by_id.insert(id, archives.clone());
        id
    }
}

/// What a profile no longer wants once its whole index was taken in.
struct Left<'a> {
    profile: &'a str,
    /// Releases that it left as they are.
    kept: &'a BTreeSet<Box<str>>,
    /// What it named.
    named: &'a Named,
}

impl Left<'_> {
    /// True for what was not named for its release.
    fn is(&self, job: InputId, membership: &Membership) -> bool {
        let release = membership.release.as_deref();
        *membership.profile == *self.profile
            && !release.is_some_and(|release| self.kept.contains(release))
            && !self.named.has_for(job, release)
    }

    /// False for most jobs that lose nothing, at little cost.
    fn may_be(&self, job: &Job) -> bool {
        if self.named.has(job.id) {
            return self.named.is_partly(job.id);
        }
        job.is_wanted_by(self.profile)
    }

    /// True for a job of which the profile no longer wants something: memberships take a
    /// microsecond to unpack.
    fn is_any(&self, job: &Job) -> bool {
        let is_all = self.kept.is_empty() && !self.named.has(job.id);
        is_all || job.memberships().iter().any(|membership| self.is(job.id, membership))
    }
}

/// What of an index could not be read, ready to be held against jobs that it does not name.
struct Doubts {
    all: Vec<Doubt>,
    /// Packages that it does name, with their release; only where a doubt has no name.
    named: BTreeSet<(Option<Box<str>>, Box<str>)>,
}

impl Doubts {
    fn new(
        all: Vec<Doubt>,
        named: impl FnOnce() -> BTreeSet<(Option<Box<str>>, Box<str>)>,
    ) -> Self {
        let named = if all.iter().any(|d| d.package.is_none()) { named() } else { BTreeSet::new() };
        Self { all, named }
    }

    /// Whether a stanza that could not be read may have been about this job.
    fn keep(&self, profile: &str, job: &Job) -> bool {
        let may_be = |membership: &Membership, doubt: &Doubt| {
            let mut artifacts = membership.artifacts.iter().map(|(_, artifact)| &artifact.name);
            doubt.release == membership.release
                && match &doubt.package {
                    Some(package) => artifacts.any(|name| name == package),
                    // A package of which the index names another version was superseded.
                    None => artifacts.all(|name| {
                        !self.named.contains(&(membership.release.clone(), name.clone()))
                    }),
                }
        };
        !self.all.is_empty()
            && job.memberships().iter().any(|membership| {
                *membership.profile == *profile && self.all.iter().any(|d| may_be(membership, d))
            })
    }
}

/// True for the same published file: a new URL does not make it another one.
fn is_same(a: &Artifact, b: &Artifact) -> bool {
    a.file == b.file && a.sha256 == b.sha256 && a.name == b.name && a.component == b.component
}
