//! The records of a new store, made of what was gathered: whole, and of one piece.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rebuilder_actors::domain::report::verify_countersigned;
use rebuilder_actors::protocol::stored::{
    self, ArchivesRecord, Counters, Grant, JobRecord, JobState, Record, ReportRecord, StoredPlace,
    Waiting, WorkerRecord,
};
use rebuilder_actors::protocol::text::counted_len;
use rebuilder_actors::protocol::{
    BuildId, Epoch, InputId, PublicKey, QueueId, SignedReport, UtcMillis, WorkerId,
};

use super::gather::Gathered;

/// Numbers that are left out behind the greatest one that is known: a record that was lost may
/// have used them, and they are never used twice.
const MARGIN: i32 = 10_000;
/// The same for attempts at one job.
const EPOCHS: u32 = 1_000;
/// Priority of a job that is built again: that of a new one.
const PRIORITY: i32 = 1;
/// Names that are listed.
const NAMED_MAX: usize = 20;

/// What goes into the new store.
pub(super) struct Rebuilt {
    /// Keys and values, reports in the order of their numbers.
    pub(super) records: Vec<(Vec<u8>, Bytes)>,
    /// What was taken over.
    pub(super) said: Vec<String>,
    /// What was not.
    pub(super) lost: Vec<String>,
}

/// Keeps reports that are signed by a known worker and belong to a known job, and states that agree
/// with them; other jobs are queued again. Profiles are left out, so that the next sync reads
/// the whole index and adds jobs that are gone.
pub(super) fn rebuild(
    gathered: Gathered,
    countersigner: Option<PublicKey>,
    now: UtcMillis,
) -> Rebuilt {
    let Gathered { counters, mut jobs, states, workers, archives, reports, signed, .. } = gathered;
    let mut lost = gathered.lost;
    let before = jobs.len();
    jobs.retain(|_, job| job.memberships.iter().all(|m| archives.contains_key(&m.archives)));
    let gone = before - jobs.len();
    lost.extend(
        (gone > 0).then(|| format!("{} whose archives are gone", counted_len(gone, "job"))),
    );
    let keys: BTreeMap<WorkerId, PublicKey> = workers.iter().map(|(k, w)| (w.id, *k)).collect();
    let sound = |number: &u64, report: &ReportRecord| {
        let (Some(signed), Some(worker)) = (signed.get(number), keys.get(&report.worker)) else {
            return false;
        };
        let verified = verify_countersigned(signed, worker, countersigner.as_slice());
        jobs.contains_key(&report.attempt.job)
            && verified.is_ok_and(|verified| verified.report().attempt == report.attempt)
    };
    let (kept, dropped): (Vec<_>, Vec<_>) =
        reports.iter().partition(|(number, report)| sound(number, report));
    let name = |(number, report): (&u64, &ReportRecord)| {
        format!("report {number} of attempt {}", report.attempt)
    };
    lost.extend(dropped.into_iter().map(name));
    let mut counters = counted(counters.unwrap_or_default(), &jobs, &keys, &reports);
    let mut records = Vec::new();
    let mut number = 0;
    for (old, report) in &kept {
        number += 1;
        records.push((ReportRecord::key(number), stored::write(*report)));
        records.push((SignedReport::key(number), stored::write(&signed[*old])));
    }
    counters.report = number;
    let verdicts = verdicts(&kept);
    let mut again = Vec::new();
    for (id, job) in &jobs {
        let none = Vec::new();
        let attempts = verdicts.get(id).unwrap_or(&none);
        let state = match states.get(id).filter(|state| agrees(state, attempts, &keys)) {
            Some(state) => state.clone(),
            None => {
                again.push(format!("{} {}", job.key.source, job.key.version));
                counters.queue += 1;
                anew(states.get(id), attempts, QueueId(counters.queue), now)
            }
        };
        records.push((JobRecord::key(*id), stored::write(job)));
        records.push((JobState::key(*id), stored::write(&state)));
    }
    records.extend(
        workers.iter().map(|(key, worker)| (WorkerRecord::key(key), stored::write(worker))),
    );
    records
        .extend(archives.iter().map(|(id, sets)| (ArchivesRecord::key(id), stored::write(sets))));
    let builds: BTreeSet<BuildId> = kept.iter().filter_map(|(_, report)| report.build).collect();
    let differences = gathered.differences.into_iter();
    let differences = differences.filter(|((build, _), _)| builds.contains(build));
    records.extend(differences.map(entry));
    records.extend(gathered.invitations.into_iter().map(entry));
    records.extend(gathered.quarantine.into_iter().map(entry));
    records.push((Counters::key(()), stored::write(&counters)));
    let said = format!(
        "taken over: {}, {} with {}, {}",
        counted_len(jobs.len(), "job"),
        counted_len(kept.len(), "report"),
        counted_len(builds.len(), "verdict"),
        counted_len(workers.len(), "worker")
    );
    Rebuilt { records, said: [said].into_iter().chain(built_again(&again)).collect(), lost }
}

fn entry<R: Record>((identity, record): (R::Key, R)) -> (Vec<u8>, Bytes) {
    (R::key(identity), stored::write(&record))
}

/// Which jobs are queued again; `None`: none.
fn built_again(names: &[String]) -> Option<String> {
    let more = if names.len() > NAMED_MAX { " …" } else { "" };
    let listed = names[..names.len().min(NAMED_MAX)].join(", ");
    let count = counted_len(names.len(), "job");
    (!names.is_empty()).then(|| format!("built again: {count}: {listed}{more}"))
}

/// Attempts with a verdict that is kept, by job.
fn verdicts(kept: &[(&u64, &ReportRecord)]) -> BTreeMap<InputId, Vec<(Epoch, BuildId)>> {
    let mut verdicts = BTreeMap::<_, Vec<_>>::new();
    for (_, report) in kept {
        if let Some(build) = report.build {
            verdicts.entry(report.attempt.job).or_default().push((report.attempt.epoch, build));
        }
    }
    verdicts
}

/// True when a state says of its verdicts what the reports say.
fn agrees(
    state: &JobState,
    attempts: &[(Epoch, BuildId)],
    workers: &BTreeMap<WorkerId, PublicKey>,
) -> bool {
    let granted = |(epoch, build): &(Epoch, BuildId)| {
        let mut grants = state.grants.iter().filter(|grant| grant.epoch == *epoch).peekable();
        *epoch <= state.epoch
            && (grants.peek().is_none() || grants.any(|grant| grant.build == Some(*build)))
    };
    let known =
        |grant: &Grant| grant.build.is_none_or(|build| attempts.contains(&(grant.epoch, build)));
    let place = match &state.place {
        StoredPlace::Decided => !attempts.is_empty(),
        StoredPlace::Leased { worker, .. } => workers.contains_key(worker),
        StoredPlace::Queued { .. } | StoredPlace::Parked { .. } | StoredPlace::Dropped => true,
    };
    place && attempts.iter().all(granted) && state.grants.iter().all(known)
}

/// The state of a job that is built again.
fn anew(
    old: Option<&JobState>,
    attempts: &[(Epoch, BuildId)],
    queue: QueueId,
    now: UtcMillis,
) -> JobState {
    let known = attempts.iter().map(|(epoch, _)| epoch.0).max().unwrap_or(0);
    let epoch = old.map_or(0, |state| state.epoch.0).max(known);
    let waiting = Waiting { queue, priority: PRIORITY, queued_at: now };
    JobState {
        epoch: Epoch(epoch.saturating_add(EPOCHS)),
        place: StoredPlace::Queued { waiting, due: UtcMillis(0) },
        retries: 0,
        faults: 0,
        grants: Vec::new(),
        confirmed: Vec::new(),
        avoid: None,
        memory_over: old.and_then(|state| state.memory_over),
    }
}

/// Counters behind everything that is known, and behind what may have been lost.
fn counted(
    old: Counters,
    jobs: &BTreeMap<InputId, JobRecord>,
    workers: &BTreeMap<WorkerId, PublicKey>,
    reports: &BTreeMap<u64, ReportRecord>,
) -> Counters {
    let members = jobs.values().flat_map(|job| &job.memberships);
    let (mut source, mut artifact, mut archives) = (0, 0, 0);
    for membership in members {
        source = source.max(membership.source.0);
        archives = archives.max(membership.archives);
        artifact = membership.artifacts.iter().map(|(id, _)| id.0).fold(artifact, i32::max);
    }
    let build = reports.values().filter_map(|r| r.build).map(|build| build.0).max().unwrap_or(0);
    let input = jobs.keys().last().map_or(0, |id| id.0);
    let behind = |old: i32, known: i32| old.max(known).saturating_add(MARGIN);
    Counters {
        source: behind(old.source, source),
        input: behind(old.input, input),
        artifact: behind(old.artifact, artifact),
        build: behind(old.build, build),
        queue: behind(old.queue, 0),
        worker: behind(old.worker, workers.keys().last().map_or(0, |id| id.0)),
        archives: behind(old.archives, archives),
        grant: old.grant.saturating_add(u64::from(MARGIN.unsigned_abs())),
        report: 0,
    }
}
