use std::collections::BTreeMap;
use std::sync::Arc;

use super::artifact::{contradict, rank, shown};
use super::firsts::NONE;
use super::index::Candidates;
use super::kept::Kept;
use super::log_place::{KeptLog, LogPlace};
use super::query::Page;
use super::standings::Standings;
use super::view::{View, place_is_status};
use super::workers::Workers;
use crate::domain::filter::{FilterError, PackageMatch};
use crate::domain::queue::{Fact, Job, JobPlace, Stand};
use crate::protocol::stored::{
    DifferenceRecord, Membership, Outcome, ProfileRecord, ReportRecord, StoredPlace,
};
use crate::protocol::wire::v1::ctl::{
    Package, PackageFilter, PackageStatus, Profile, Subject, Trouble,
};
use crate::protocol::wire::v1::history::ATTEMPTS_MAX;
use crate::protocol::wire::v1::history::DatedPackage;
use crate::protocol::{Artifact, AttemptId, BuildId, Epoch, InputId, UtcMillis, Verdict, WorkerId};

/// What readers are shown.
#[derive(Debug, Default)]
pub struct ReadModel {
    pub(super) jobs: BTreeMap<InputId, View>,
    pub(super) standings: Standings,
    pub(super) workers: Workers,
    pub(super) kept: Kept,
    /// Every build that was accepted: the number of its report, and its job.
    pub(super) builds: BTreeMap<BuildId, (u64, InputId)>,
    /// Reports whose job is not known yet, by job: facts of both kinds may come in any order.
    early: BTreeMap<InputId, Vec<(u64, Arc<ReportRecord>)>>,
    differences: BTreeMap<(BuildId, Box<str>), DifferenceRecord>,
    profiles: BTreeMap<Box<str>, ProfileRecord>,
    syncs: BTreeMap<Box<str>, SyncState>,
    /// Reports up to here are folded in.
    cursor: u64,
}

/// How a profile's sync goes, as its actor tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    /// `debian` …
    pub distribution: String,
    /// Why the last one failed; `None`: it did not.
    pub error: Option<String>,
    /// When the next one is due; `None`: now, or it is running.
    pub next_at: Option<UtcMillis>,
    /// End of the last look that found the index as before.
    pub looked_at: Option<UtcMillis>,
    /// What is wrong although the last one succeeded.
    pub troubles: Vec<Trouble>,
    /// Stanzas of the index that were skipped, as they cannot be read.
    pub unread: u64,
}

/// Who has a job, and with which attempt; `None`: nobody.
pub(super) fn leased(job: InputId, stand: &Stand) -> Option<(WorkerId, AttemptId)> {
    let StoredPlace::Leased { worker, .. } = stand.place else { return None };
    Some((worker, AttemptId { job, epoch: stand.epoch }))
}

/// The artifacts of a job that any of the filters matches, each once.
fn matching<'a>(
    view: &View,
    memberships: &'a [Membership],
    matchers: &[PackageMatch<'_>],
) -> impl Iterator<Item = (&'a Membership, &'a Artifact)> {
    let place = view.job_place();
    let artifacts = memberships.iter().flat_map(|m| m.artifacts.iter().map(move |(_, a)| (m, a)));
    artifacts.filter(move |(membership, artifact)| {
        matchers.iter().any(|matcher| {
            matcher.membership(&view.job, membership)
                && matcher.artifact(&view.job, artifact)
                && matcher.has_status(|| shown(view.best(), &place, artifact).status)
        })
    })
}

/// Said of a profile that was synced and wants no job.
pub const NOTHING: &str = "follows nothing: the index names no package that its releases, \
                           components, architectures and filters keep (see profile in \
                           docs/configuration.md)";

/// Jobs that are looked at for one page and one filter, however few of them match: half a
/// millisecond or less, in which the fold waits.
pub(super) const EXAMINED_MAX: usize = 500;

impl ReadModel {
    /// A model of a queue that shuffles with this seed.
    pub fn new(seed: u64) -> Self {
        Self { standings: Standings::new(seed), ..Self::default() }
    }

    /// Folds one fact in. The same fact again changes nothing.
    pub fn follow(&mut self, fact: Fact) {
        match fact {
            Fact::Job(job) => self.job(job),
            Fact::Placed(id, stand) => self.placed(id, stand),
            Fact::Accepted(record, sequence) => self.accepted(record, sequence),
            Fact::Difference(build, file, record) => {
                self.differences.insert((build, file), record);
            }
            Fact::Synced(profile, record) => {
                self.profiles.insert(profile, record);
            }
            Fact::Worker(told) => self.workers.told(*told),
            Fact::Pulse(id, pulse) => self.workers.pulse(id, pulse),
            Fact::Progress(attempt, progress) if self.is_leased(attempt) => {
                self.workers.progress(attempt, progress);
            }
            // It ended before its job was told of: nothing would forget it.
            Fact::Progress(..) => {}
        }
    }

    /// Notes how a profile's sync goes.
    pub fn sync_state(&mut self, profile: Box<str>, state: SyncState) {
        self.syncs.insert(profile, state);
    }

    fn job(&mut self, job: Arc<Job>) {
        let id = job.id;
        if let Some(view) = self.jobs.get_mut(&id) {
            let wanted = (view.job.is_wanted(), job.is_wanted());
            let memberships = view.job.memberships();
            self.kept.shown(view, &memberships, false);
            self.kept.job(&view.job, &memberships, false);
            view.job = job;
            let memberships = view.job.memberships();
            self.kept.shown(view, &memberships, true);
            self.kept.job(&view.job, &memberships, true);
            if let Some(stand) = &view.stand {
                match wanted {
                    (true, false) => self.standings.remove(id, stand),
                    (false, true) => self.standings.insert(id, stand),
                    _ => {}
                }
            }
            return;
        }
        let view = View::new(job);
        let memberships = view.job.memberships();
        self.kept.shown(&view, &memberships, true);
        self.kept.job(&view.job, &memberships, true);
        self.jobs.insert(id, view);
        for (sequence, record) in self.early.remove(&id).unwrap_or_default() {
            self.accepted(record, sequence);
        }
    }

    fn is_leased(&self, attempt: AttemptId) -> bool {
        let stand = self.jobs.get(&attempt.job).and_then(|view| view.stand.as_ref());
        stand.and_then(|stand| leased(attempt.job, stand)).is_some_and(|(_, now)| now == attempt)
    }

    fn placed(&mut self, id: InputId, stand: Stand) {
        let Some(view) = self.jobs.get_mut(&id) else { return };
        if let Some((worker, attempt)) = view.stand.as_ref().and_then(|old| leased(id, old)) {
            self.workers.leased(worker, attempt, false);
        }
        if let Some((worker, attempt)) = leased(id, &stand) {
            self.workers.leased(worker, attempt, true);
        }
        let wanted = view.job.is_wanted();
        if let Some(old) = view.stand.as_ref().filter(|_| wanted) {
            self.standings.remove(id, old);
        }
        if wanted {
            self.standings.insert(id, &stand);
        }
        // Only where there is no verdict does the status follow from the place, and only from two
        // of them: every other move costs two looks into the sets above, and nothing more.
        let counts =
            view.best.is_none() && (place_is_status(&stand.place) || view.place_is_status());
        let memberships = if counts { view.job.memberships() } else { Vec::new() };
        if counts {
            self.kept.shown(view, &memberships, false);
        }
        view.stand = Some(stand);
        if counts {
            self.kept.shown(view, &memberships, true);
        }
    }

    fn accepted(&mut self, record: Arc<ReportRecord>, sequence: u64) {
        self.cursor = self.cursor.max(sequence);
        if let Some(build) = record.build {
            self.builds.insert(build, (sequence, record.attempt.job));
        }
        let Some(view) = self.jobs.get_mut(&record.attempt.job) else {
            self.early.entry(record.attempt.job).or_default().push((sequence, record));
            return;
        };
        if let Err(at) = view.reports.binary_search(&sequence) {
            view.reports.insert(at, sequence);
            let over = view.reports.len().saturating_sub(ATTEMPTS_MAX);
            view.reports.drain(..over);
        }
        if view.newest.as_ref().is_none_or(|(newest, _)| *newest < sequence) {
            view.newest = Some((sequence, record.clone()));
        }
        let known = view.best.as_ref().is_some_and(|(best, _)| *best == sequence);
        if known || matches!(record.outcome, Outcome::Fault(_)) {
            return;
        }
        view.firsts.get_or_insert_default().take(&record);
        let memberships = view.job.memberships();
        self.kept.shown(view, &memberships, false);
        match &view.best {
            Some((best, shown)) => {
                view.flaky |= contradict(shown, &record);
                let (old, new) =
                    (rank(shown.evidence.environment), rank(record.evidence.environment));
                if new < old || (new == old && sequence > *best) {
                    view.best = Some((sequence, record));
                }
            }
            None => view.best = Some((sequence, record)),
        }
        self.kept.shown(view, &memberships, true);
    }

    /// Up to `limit` artifacts that any of the filters matches, after the job `after`, of whole
    /// jobs; perhaps fewer, or none, and more to come, where few match.
    ///
    /// # Errors
    /// A name that is no pattern, or too many filters.
    pub(super) fn packages(
        &self,
        filters: &[PackageFilter],
        after: Option<InputId>,
        limit: usize,
    ) -> Result<Page<DatedPackage>, FilterError> {
        let matchers = PackageMatch::all(filters)?;
        let mut rows = Vec::new();
        for (examined, view) in self.candidates(filters, after).enumerate() {
            // To unpack what does not match costs more than all else here.
            let is_it = matchers.iter().any(|matcher| matcher.job(&view.job));
            let memberships = if is_it { view.job.memberships() } else { Vec::new() };
            for (membership, artifact) in matching(view, &memberships, &matchers) {
                rows.push(self.dated(view, membership, artifact));
            }
            if rows.len() >= limit || examined + 1 >= EXAMINED_MAX / filters.len().max(1) {
                return Ok(Page { rows, next: Some(view.job.id) });
            }
        }
        Ok(Page { rows, next: None })
    }

    /// Wanted jobs that any of the filters matches, after the job `after`: a page of those that
    /// were looked at.
    ///
    /// # Errors
    /// As [`ReadModel::packages`].
    pub(super) fn matching_jobs(
        &self,
        filters: &[PackageFilter],
        after: Option<InputId>,
    ) -> Result<Page<InputId>, FilterError> {
        let matchers = PackageMatch::all(filters)?;
        let asks_status = filters.iter().any(|filter| filter.status.is_some());
        let mut jobs = Vec::new();
        for (examined, view) in self.candidates(filters, after).enumerate() {
            let is_it = matchers.iter().any(|matcher| matcher.job(&view.job))
                && (!asks_status
                    || matching(view, &view.job.memberships(), &matchers).next().is_some());
            if is_it {
                jobs.push(view.job.id);
            }
            if examined + 1 >= EXAMINED_MAX / filters.len().max(1) {
                return Ok(Page { rows: jobs, next: Some(view.job.id) });
            }
        }
        Ok(Page { rows: jobs, next: None })
    }

    /// Jobs behind `after`, in order, that any of the filters may match, and all that it matches.
    pub(super) fn candidates(
        &self,
        filters: &[PackageFilter],
        after: Option<InputId>,
    ) -> impl Iterator<Item = &View> {
        let sets: Vec<Candidates<'_>> = filters
            .iter()
            .map(|filter| self.kept.index.candidates(&self.kept.catalogue, filter))
            .collect();
        let mut from = Some(InputId(after.map_or(0, |id| id.0.saturating_add(1))));
        core::iter::from_fn(move || {
            let id = sets.iter().filter_map(|set| set.next(&self.jobs, from?)).min()?;
            from = id.0.checked_add(1).map(InputId);
            self.jobs.get(&id)
        })
    }

    /// An artifact with its times.
    pub(super) fn dated(
        &self,
        view: &View,
        membership: &Membership,
        artifact: &Artifact,
    ) -> DatedPackage {
        let package = self.package(view, membership, artifact);
        let firsts = view.firsts.as_deref().unwrap_or(&NONE);
        let times = firsts.times(view.job.first_seen, &package);
        DatedPackage { package, times }
    }

    /// When a profile's index was last seen to be whole, changed or not.
    pub(super) fn last_seen(&self, profile: &str) -> Option<UtcMillis> {
        let synced = self.profiles.get(profile).map(|record| record.synced_at);
        synced.max(self.syncs.get(profile).and_then(|state| state.looked_at))
    }

    fn package(&self, view: &View, membership: &Membership, artifact: &Artifact) -> Package {
        let (record, place) = (view.best(), view.job_place());
        let seen = shown(record, &place, artifact);
        let last = view.fault_shown(&seen);
        let fault = last.as_ref().map(|last| last.fault.kind);
        let reason = seen.reason.clone().or_else(|| last.map(|last| last.fault.detail));
        let key = &view.job.key;
        // A failed build is a verdict too, though of the attempt and not of the file.
        let is_judged = seen.verdict.is_some() || seen.status == PackageStatus::BuildFailed;
        let judged = record.filter(|_| is_judged);
        let evidence = judged.map(|record| record.evidence);
        let build = judged.and_then(|record| record.build);
        // Of several files of one name, a difference is that of the one that differs.
        let has_difference = seen.verdict == Some(Verdict::Differs)
            && build.is_some_and(|build| self.difference(build, &artifact.file).is_some());
        Package {
            name: artifact.name.to_string(),
            version: artifact.version.to_string(),
            source: key.source.to_string(),
            distribution: key.distribution.to_string(),
            release: membership.release.as_deref().map(Into::into),
            component: artifact.component.as_deref().map(Into::into),
            architecture: artifact.architecture.to_string(),
            url: artifact.url.to_string(),
            file: artifact.file.to_string(),
            sha256: artifact.sha256,
            status: seen.status,
            verdict: seen.verdict,
            evidence,
            gate_grade: evidence.is_some_and(|e| e.is_gate_grade()),
            flaky: view.flaky,
            rebuilt_sha256: seen.rebuilt,
            job: view.job.id,
            build,
            built_at: judged.map(|record| record.accepted_at),
            worker: judged.map(|record| record.worker),
            has_difference,
            reason,
            fault,
        }
    }

    /// The difference kept for an artifact of a build.
    pub fn difference(&self, build: BuildId, file: &str) -> Option<&DifferenceRecord> {
        self.differences.get(&(build, file.into()))
    }

    /// Where the newest log of a job is at `now`; `None`: there was no attempt, and none comes now.
    pub fn log(&self, job: InputId, now: UtcMillis) -> Option<LogPlace> {
        let view = self.jobs.get(&job)?;
        let kept = view.newest.as_ref().map(|(_, record)| KeptLog {
            attempt: record.attempt,
            sha256: record.log,
            bytes: record.log_bytes,
        });
        if let JobPlace::Running(epoch) = view.job_place() {
            return Some(LogPlace::Growing(AttemptId { job, epoch: Epoch(epoch) }, kept));
        }
        let place = view.stand.as_ref().map(|stand| &stand.place);
        if let Some(StoredPlace::Queued { due, .. }) = place
            && *due <= now
            && view.job.is_wanted()
        {
            return Some(LogPlace::Awaited(kept));
        }
        kept.map(LogPlace::Kept)
    }

    /// How an attempt ended, in one line; `None`: it has no report, or not the newest one.
    pub fn ending(&self, attempt: AttemptId) -> Option<String> {
        let newest = self.jobs.get(&attempt.job)?.newest_report()?;
        (newest.attempt == attempt).then(|| newest.outcome.in_words())
    }

    /// Numbers of the reports of a job that are listed, newest first; of an unknown job none.
    pub fn history(&self, job: InputId) -> Vec<u64> {
        let view = self.jobs.get(&job);
        view.map(|view| view.reports.iter().rev().copied().collect()).unwrap_or_default()
    }

    /// Number of the report that is shown for a job.
    pub fn shown_report(&self, job: InputId) -> Option<u64> {
        self.jobs.get(&job)?.best.as_ref().map(|(sequence, _)| *sequence)
    }

    /// Artifacts by shown status, wanted ones only.
    pub fn counts(&self) -> Vec<(PackageStatus, u32)> {
        self.kept.tally.statuses()
    }

    /// Stanzas that cannot be read, by profile; those without one are not named.
    pub fn unread_stanzas(&self) -> BTreeMap<Box<str>, u64> {
        let unread = self.syncs.iter().filter(|(_, state)| state.unread > 0);
        unread.map(|(profile, state)| (profile.clone(), state.unread)).collect()
    }

    /// What is wrong with profiles whose sync succeeded, by name.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        for (name, state) in &self.syncs {
            let synced = self.profiles.contains_key(name) && state.error.is_none();
            if synced && self.kept.tally.of(name).0 == 0 {
                let subject = Subject::Profile(name.to_string());
                let text = NOTHING.to_owned();
                troubles.push(Trouble { subject, text, times: 1, next: None });
            }
            troubles.extend(state.troubles.iter().cloned());
        }
        troubles
    }

    /// One row for each profile that is configured or was synced.
    pub(super) fn profiles(&self) -> Vec<Profile> {
        let mut rows: BTreeMap<&str, Profile> = BTreeMap::new();
        for name in self.syncs.keys().chain(self.profiles.keys()) {
            let record = self.profiles.get(name);
            let state = self.syncs.get(name);
            let (jobs, artifacts) = self.kept.tally.of(name);
            let synced = record.map(|r| r.synced_at).max(state.and_then(|s| s.looked_at));
            let row = Profile {
                name: name.to_string(),
                distribution: state.map(|s| s.distribution.clone()).unwrap_or_default(),
                jobs,
                artifacts,
                synced_at: synced,
                synced_in_ms: record.map_or(0, |r| r.synced_in_ms),
                error: state.and_then(|s| s.error.clone()),
                next_at: state.and_then(|s| s.next_at),
            };
            rows.insert(name, row);
        }
        rows.into_values().collect()
    }
}
