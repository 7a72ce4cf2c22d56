//! Pages and counts against what a look at every job says.

use std::sync::Arc;

use super::*;
use crate::domain::queue::{Fact, Job, Live, Progress, Pulse, Stand, WorkerTold};
use crate::protocol::stored::{Membership, Outcome, ReportRecord, StoredPlace, Waiting};
use crate::protocol::wire::v1::ctl::{PackageFilter, PackageStatus, Queued, ShownPlace as Shown};
use crate::protocol::{
    Artifact, ArtifactId, AttemptId, BuildId, BuildInput, EnvironmentKnowledge, Epoch, Evidence,
    Fault, FaultKind, IndexTrust, InputId, Isolation, JobKey, PublicKey, QueueId, Sha256,
    SignerKind, SourceId, Stage, UtcMillis, Verdict, WorkerId,
};

fn job(id: i32, profiles: &[&str]) -> Fact {
    let artifact = |name: &str| Artifact {
        name: name.into(),
        version: "1".into(),
        component: None,
        architecture: "amd64".into(),
        file: format!("{name}.deb").into(),
        url: format!("http://m/{name}.deb").into(),
        size: None,
        sha256: None,
    };
    let memberships = profiles.iter().map(|profile| Membership {
        profile: (*profile).into(),
        release: None,
        source: SourceId(id),
        input: BuildInput::Suite,
        source_file: None,
        archives: 1,
        index: IndexTrust::Signed,
        artifacts: vec![
            (ArtifactId(2 * id), artifact(&format!("a{id}"))),
            (ArtifactId(2 * id + 1), artifact(&format!("b{id}"))),
        ],
    });
    let memberships: Vec<Membership> = memberships.collect();
    let key = JobKey {
        distribution: "debian".into(),
        backend: "debian".into(),
        source: format!("s{id}").into(),
        version: "1".into(),
        architecture: "amd64".into(),
        input: "suite".into(),
    };
    Fact::Job(Arc::new(Job::new(InputId(id), key.into(), &memberships, None)))
}

fn waiting(priority: i32) -> Waiting {
    Waiting { queue: QueueId(1), priority, queued_at: UtcMillis(7) }
}

fn placed(id: i32, place: StoredPlace) -> Fact {
    Fact::Placed(InputId(id), Stand { place, epoch: Epoch(3), faults: 0, fault: None })
}

fn queued(priority: i32, due: i64) -> StoredPlace {
    StoredPlace::Queued { waiting: waiting(priority), due: UtcMillis(due) }
}

fn leased() -> StoredPlace {
    StoredPlace::Leased { waiting: waiting(1), worker: WorkerId(4), granted_at: UtcMillis(50) }
}

fn parked(until: Option<i64>) -> StoredPlace {
    let fault = Fault { kind: FaultKind::DiskFull, detail: "full".into() };
    StoredPlace::Parked { waiting: waiting(1), fault, until: until.map(UtcMillis), times: 1 }
}

fn all(model: &mut ReadModel, now: i64, planned: bool, page: usize) -> Vec<Queued> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = {
            model.wake(UtcMillis(now));
            model.queue(planned, after, page)
        };
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

fn jobs(rows: &[Queued]) -> Vec<i32> {
    rows.iter().map(|row| row.job.0).collect()
}

fn model() -> ReadModel {
    let mut model = ReadModel::new(1);
    for id in 1..=9 {
        model.follow(job(id, &["p"]));
    }
    let places = [
        queued(1, 0),
        queued(0, 0),
        queued(2, 500),
        leased(),
        parked(Some(400)),
        parked(None),
        StoredPlace::Decided,
        StoredPlace::Dropped,
        queued(2, 300),
    ];
    for (id, place) in (1..).zip(places) {
        model.follow(placed(id, place));
    }
    model
}

#[test]
fn rows_come_in_the_order_of_the_queue_whatever_the_page() {
    let mut model = model();
    for page in [1, 2, 3, 100] {
        assert_eq!(jobs(&all(&mut model, 100, false, page)), [4, 2, 1]);
        assert_eq!(jobs(&all(&mut model, 100, true, page)), [4, 2, 1, 9, 5, 3]);
    }
    let rows = all(&mut model, 100, true, 100);
    assert_eq!(rows[0].place, Shown::Running { worker: WorkerId(4), since: UtcMillis(50) });
    assert_eq!((&rows[1].place, rows[1].attempts), (&Shown::Ready, 3));
    assert_eq!(rows[3].place, Shown::Delayed { until: UtcMillis(300) });
    assert!(matches!(&rows[4].place, Shown::Parked { until: Some(UtcMillis(400)), .. }));
}

#[test]
fn what_is_due_is_ready() {
    let mut model = model();
    assert_eq!(jobs(&all(&mut model, 300, false, 2)), [4, 2, 1, 9]);
    // The wall clock is set back: what was ready stays so.
    assert_eq!(jobs(&all(&mut model, 100, false, 2)), [4, 2, 1, 9]);
    model.follow(placed(9, StoredPlace::Decided));
    assert_eq!(jobs(&all(&mut model, 300, true, 2)), [4, 2, 1, 5, 3]);
}

#[test]
fn counts_follow_every_move_and_what_nobody_wants_is_not_counted() {
    let mut model = model();
    let jobs = model.job_counts(UtcMillis(100));
    assert_eq!((jobs.ready, jobs.delayed, jobs.running), (2, 2, 1));
    assert_eq!((jobs.parked, jobs.decided, jobs.dropped), (2, 1, 1));
    assert_eq!(jobs.next_due_ms, Some(200));
    for id in 1..=9 {
        model.follow(job(id, &[]));
    }
    assert_eq!(model.job_counts(UtcMillis(100)), Default::default());
    assert_eq!(model.counts(), []);
    assert_eq!(all(&mut model, 100, true, 10), []);
    // Wanted again, each where it stands.
    model.follow(job(2, &["q"]));
    model.follow(job(6, &["q"]));
    let jobs = model.job_counts(UtcMillis(100));
    assert_eq!((jobs.ready, jobs.parked, jobs.delayed), (1, 1, 0));
}

fn progress(job: i32, epoch: u32) -> Fact {
    let attempt = AttemptId { job: InputId(job), epoch: Epoch(epoch) };
    Fact::Progress(attempt, Progress { stage: Stage::Build, log_bytes: 8 })
}

#[test]
fn what_runs_is_shown_with_what_its_worker_told_of_this_attempt() {
    let mut model = model();
    model.follow(progress(1, 3));
    model.follow(progress(4, 2));
    let running = model.running(UtcMillis(100));
    assert_eq!(running.len(), 1, "job 1 is not durably leased");
    assert_eq!((running[0].stage, running[0].age_ms), (None, 50), "that was another attempt");
    model.follow(progress(4, 3));
    let running = model.running(UtcMillis(100));
    assert_eq!((running[0].stage, running[0].log_bytes), (Some(Stage::Build), 8));
    model.follow(placed(4, queued(1, 0)));
    model.follow(placed(4, leased()));
    assert_eq!(model.running(UtcMillis(100))[0].stage, None, "it ended with its lease");
}

#[test]
fn workers_are_listed_with_what_they_hold_and_last_told() {
    let mut model = model();
    let told = |id: i32, live| WorkerTold {
        id: WorkerId(id),
        key: PublicKey([7; 32]),
        name: format!("w{id}"),
        revoked: false,
        live,
        leftovers: vec![],
        aside: None,
    };
    let live = Live {
        address: "192.0.2.1:9".into(),
        slots: 3,
        backends: vec!["debian".into()],
        architectures: vec!["amd64".into()],
        capabilities: vec![],
        ailments: vec![],
    };
    for id in 1..=5 {
        model.follow(Fact::Worker(Box::new(told(id, (id == 4).then(|| live.clone())))));
    }
    let pulse = Pulse { at: Some(UtcMillis(9)), free_memory: 5, free_disk: 6 };
    model.follow(Fact::Pulse(WorkerId(4), pulse));
    // Told anew: the pulse stays.
    model.follow(Fact::Worker(Box::new(told(4, Some(live)))));
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = Workers.page(&model, after, 2).unwrap();
        assert!(page.rows.len() <= 2);
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let row = &rows[3];
    assert_eq!((row.running, row.slots, row.free_memory), (1, 3, 5));
    assert_eq!((row.last_seen, row.address.as_deref()), (Some(UtcMillis(9)), Some("192.0.2.1:9")));
    assert_eq!((rows[0].running, rows[0].slots, rows[0].last_seen), (0, 0, None));
    model.follow(placed(4, StoredPlace::Decided));
    assert_eq!(Workers.page(&model, Some(WorkerId(3)), 1).unwrap().rows[0].running, 0);
}

fn verdict(id: i32, sequence: u64, verdict: Verdict) -> Fact {
    let record = ReportRecord {
        attempt: AttemptId { job: InputId(id), epoch: Epoch(1) },
        worker: WorkerId(1),
        accepted_at: UtcMillis(5),
        started_at: UtcMillis(1),
        finished_at: UtcMillis(4),
        build: Some(BuildId(i32::try_from(sequence).unwrap())),
        outcome: Outcome::Verdicts(vec![(format!("a{id}.deb").into(), verdict, None)]),
        evidence: Evidence {
            index: IndexTrust::Signed,
            environment: EnvironmentKnowledge::Suite,
            isolation: Isolation::Full,
            signer: SignerKind::WorkerKey,
        },
        log: Sha256([2; 32]),
        log_bytes: 7,
    };
    Fact::Accepted(Arc::new(record), sequence)
}

/// Statuses counted by a look at every row.
fn recounted(model: &ReadModel) -> Vec<(PackageStatus, u32)> {
    let (mut counts, mut after) = (std::collections::BTreeMap::new(), None);
    loop {
        let page = model.packages(&[PackageFilter::default()], after, 3).unwrap();
        for row in page.rows {
            *counts.entry(row.package.status).or_insert(0) += 1;
        }
        after = page.next;
        if after.is_none() {
            return counts.into_iter().collect();
        }
    }
}

#[test]
fn counts_of_artifacts_are_those_of_all_rows_after_every_fact() {
    let mut model = ReadModel::new(1);
    let facts = [
        verdict(1, 1, Verdict::Differs),
        job(1, &["p", "q"]),
        job(2, &["p"]),
        placed(2, parked(None)),
        placed(1, parked(Some(9))),
        verdict(2, 2, Verdict::Reproduced),
        placed(2, queued(1, 0)),
        job(1, &["p"]),
        verdict(1, 3, Verdict::Reproduced),
        verdict(1, 3, Verdict::Reproduced),
        placed(1, StoredPlace::Decided),
        job(3, &["r"]),
        placed(3, parked(None)),
        placed(3, queued(1, 0)),
        job(2, &[]),
        placed(2, parked(None)),
        job(2, &["r"]),
    ];
    for (number, fact) in facts.into_iter().enumerate() {
        model.follow(fact);
        assert_eq!(model.counts(), recounted(&model), "after fact {number}");
    }
    model.sync_state("r".into(), SyncState::default());
    let profiles = model.profiles();
    assert_eq!((profiles[0].jobs, profiles[0].artifacts), (2, 4));
}

#[test]
fn a_filter_that_matches_nothing_costs_short_pages() {
    let mut model = ReadModel::new(1);
    for id in 1..=2_500 {
        model.follow(job(id, &["p"]));
    }
    let filter = PackageFilter { name: Some("*no-such*".into()), ..PackageFilter::default() };
    let (mut pages, mut after) = (0, None);
    loop {
        let page = model.packages(core::slice::from_ref(&filter), after, 200).unwrap();
        assert_eq!(page.rows, []);
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, 6, "each looks at five hundred jobs");
    let filters = vec![filter; 10];
    let page = model.packages(&filters, None, 200).unwrap();
    assert_eq!((page.rows, page.next), (vec![], Some(InputId(50))), "fewer for more filters");
    let page = model.matching_jobs(&filters, None).unwrap();
    assert_eq!((page.rows, page.next), (vec![], Some(InputId(50))));
}
