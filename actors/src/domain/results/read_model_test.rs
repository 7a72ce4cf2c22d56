use std::sync::Arc;

use super::*;
use crate::domain::queue::{Fact, Job, JobPlace, Stand};
use crate::protocol::stored::{
    DifferenceRecord, Membership, Outcome, ProfileRecord, ReportRecord, StoredPlace, Waiting,
};
use crate::protocol::wire::v1::ctl::{Package, PackageFilter, PackageStatus, Subject, Trouble};
use crate::protocol::wire::v1::history::{DatedPackage, FirstTimes};
use crate::protocol::{
    Artifact, ArtifactId, AttemptId, BuildId, BuildInput, EnvironmentKnowledge, Epoch, Evidence,
    Fault, FaultKind, IndexState, IndexTrust, InputId, Isolation, JobKey, QueueId, Sha256,
    SignerKind, SourceId, UtcMillis, Verdict, WorkerId,
};

const JOB: InputId = InputId(1);
const NOW: UtcMillis = UtcMillis(1_000);
const SEEN: UtcMillis = UtcMillis(7);

fn job() -> Fact {
    let artifact = Artifact {
        name: "hello".into(),
        version: "1".into(),
        component: Some("main".into()),
        architecture: "amd64".into(),
        file: "hello_1_amd64.deb".into(),
        url: "http://m/hello_1_amd64.deb".into(),
        size: None,
        sha256: Some(Sha256([1; 32])),
    };
    let membership = Membership {
        profile: "p".into(),
        release: Some("bookworm".into()),
        source: SourceId(1),
        input: BuildInput::Suite,
        source_file: None,
        archives: 1,
        index: IndexTrust::Signed,
        artifacts: vec![(ArtifactId(1), artifact)],
    };
    let key = JobKey {
        distribution: "debian".into(),
        backend: "debian".into(),
        source: "hello-source".into(),
        version: "1".into(),
        architecture: "amd64".into(),
        input: "suite".into(),
    };
    Fact::Job(Arc::new(Job::new(JOB, key.into(), &[membership], Some(SEEN))))
}

const WAITING: Waiting = Waiting { queue: QueueId(1), priority: 1, queued_at: UtcMillis(0) };

fn stand(place: StoredPlace, epoch: u32) -> Stand {
    Stand { place, epoch: Epoch(epoch), faults: 0, fault: None }
}

fn placed(place: StoredPlace) -> Fact {
    Fact::Placed(JOB, stand(place, 1))
}

fn queued(due: i64) -> StoredPlace {
    StoredPlace::Queued { waiting: WAITING, due: UtcMillis(due) }
}

fn parked(fault: Fault) -> StoredPlace {
    StoredPlace::Parked { waiting: WAITING, fault, until: None, times: 1 }
}

fn running(epoch: u32) -> Fact {
    let place =
        StoredPlace::Leased { waiting: WAITING, worker: WorkerId(1), granted_at: UtcMillis(1) };
    Fact::Placed(JOB, stand(place, epoch))
}

fn report(sequence: u64, outcome: Outcome, environment: EnvironmentKnowledge) -> Fact {
    let build = i32::try_from(sequence).unwrap();
    let record = ReportRecord {
        attempt: AttemptId { job: JOB, epoch: Epoch(1) },
        worker: WorkerId(1),
        accepted_at: UtcMillis(5),
        started_at: UtcMillis(1),
        finished_at: UtcMillis(4),
        build: (!matches!(outcome, Outcome::Fault(_))).then_some(BuildId(build)),
        outcome,
        evidence: Evidence {
            index: IndexTrust::Signed,
            environment,
            isolation: Isolation::Full,
            signer: SignerKind::WorkerKey,
        },
        log: Sha256([2; 32]),
        log_bytes: 7,
    };
    Fact::Accepted(Arc::new(record), sequence)
}

fn verdict(verdict: Verdict) -> Outcome {
    Outcome::Verdicts(vec![("hello_1_amd64.deb".into(), verdict, None)])
}

fn dated(model: &ReadModel) -> DatedPackage {
    let page = model.packages(&[PackageFilter::default()], None, 10).unwrap();
    assert_eq!(page.next, None);
    page.rows.into_iter().next().unwrap()
}

fn shown(model: &ReadModel) -> Package {
    dated(model).package
}

#[test]
fn a_fault_is_never_shown_as_a_verdict() {
    let mut model = ReadModel::default();
    let fault = Fault { kind: FaultKind::DiskFull, detail: "no space".into() };
    model.follow(job());
    model.follow(report(1, Outcome::Fault(fault.clone()), EnvironmentKnowledge::Recorded));
    assert_eq!(shown(&model).status, PackageStatus::Unknown);
    model.follow(placed(parked(fault)));
    let row = shown(&model);
    assert_eq!((row.status, row.verdict, row.evidence), (PackageStatus::Parked, None, None));
    assert_eq!((row.fault, row.reason.as_deref()), (Some(FaultKind::DiskFull), Some("no space")));
    assert!(!row.gate_grade);
}

#[test]
fn each_of_several_files_of_one_name_has_its_own_verdict() {
    let file = |digest| {
        let Fact::Job(job) = job() else { panic!("a job") };
        let mut artifact = job.artifacts().remove(0);
        artifact.sha256 = Some(Sha256([digest; 32]));
        artifact
    };
    let built = |digest| {
        let row = |published| {
            let is_it = published == digest;
            let verdict = if is_it { Verdict::Reproduced } else { Verdict::Differs };
            ("hello_1_amd64.deb".into(), verdict, Some(Sha256([digest; 32])))
        };
        let Fact::Accepted(record, _) =
            report(1, Outcome::Verdicts(vec![row(1), row(2)]), EnvironmentKnowledge::Recorded)
        else {
            panic!("a report")
        };
        record
    };
    let status = |record: &ReportRecord, digest| {
        artifact::shown(Some(record), &JobPlace::Decided, &file(digest)).status
    };
    use PackageStatus::{Differs, Reproduced, Unknown};
    for (digest, expected) in
        [(1, [Reproduced, Differs]), (2, [Differs, Reproduced]), (9, [Differs; 2])]
    {
        let record = built(digest);
        assert_eq!([status(&record, 1), status(&record, 2)], expected, "built {digest}");
    }
    // One that joined after the report is not the built one either, or nothing is known of it.
    assert_eq!(status(&built(1), 3), Differs);
    let Outcome::Verdicts(mut rows) = built(1).outcome.clone() else { panic!("verdicts") };
    rows.truncate(1);
    let Fact::Accepted(one, _) = report(1, Outcome::Verdicts(rows), EnvironmentKnowledge::Recorded)
    else {
        panic!("a report")
    };
    assert_eq!(status(&one, 3), Unknown);
    use artifact::contradict;
    assert!(!contradict(&built(1), &built(1)) && !contradict(&built(9), &built(9)));
    assert!(contradict(&built(1), &built(9)));
}

#[test]
fn a_failed_build_has_evidence_as_every_verdict() {
    let mut model = ReadModel::default();
    model.follow(job());
    let failed = Outcome::BuildFailed { reason: "status 2".into() };
    model.follow(report(1, failed, EnvironmentKnowledge::Recorded));
    let row = shown(&model);
    assert_eq!((row.status, row.verdict), (PackageStatus::BuildFailed, None));
    assert!(row.evidence.is_some() && row.gate_grade);
}

#[test]
fn the_latest_verdict_of_the_best_environment_is_shown_and_contradictions_are_flaky() {
    let mut model = ReadModel::default();
    model.follow(job());
    model.follow(report(1, verdict(Verdict::Differs), EnvironmentKnowledge::Suite));
    assert_eq!(shown(&model).status, PackageStatus::Differs);
    assert!(!shown(&model).gate_grade);
    model.follow(report(2, verdict(Verdict::Reproduced), EnvironmentKnowledge::Recorded));
    assert_eq!(shown(&model).status, PackageStatus::Reproduced);
    assert!(shown(&model).gate_grade && shown(&model).flaky);
    model.follow(report(3, verdict(Verdict::Differs), EnvironmentKnowledge::Suite));
    assert_eq!(shown(&model).build, Some(BuildId(2)), "suite does not hide recorded");
}

#[test]
fn facts_fold_to_the_same_in_any_order_and_twice() {
    let facts = [
        job(),
        report(1, verdict(Verdict::Differs), EnvironmentKnowledge::Suite),
        report(2, verdict(Verdict::Differs), EnvironmentKnowledge::Suite),
        Fact::Difference(
            BuildId(2),
            "hello_1_amd64.deb".into(),
            DifferenceRecord { sha256: Sha256([3; 32]), size: 9 },
        ),
    ];
    let mut forward = ReadModel::default();
    facts.iter().cloned().for_each(|fact| forward.follow(fact));
    let mut backward = ReadModel::default();
    facts.iter().rev().chain(&facts).cloned().for_each(|fact| backward.follow(fact));
    assert_eq!(shown(&forward), shown(&backward));
    assert!(shown(&forward).has_difference && !shown(&forward).flaky);
    assert_eq!(forward.log(JOB, NOW), Some(LogPlace::Kept(kept(1))));
}

fn kept(epoch: u32) -> KeptLog {
    let attempt = AttemptId { job: JOB, epoch: Epoch(epoch) };
    KeptLog { attempt, sha256: Sha256([2; 32]), bytes: 7 }
}

#[test]
fn a_log_is_never_taken_for_that_of_another_attempt() {
    let mut model = ReadModel::default();
    model.follow(job());
    assert_eq!(model.log(JOB, NOW), None);
    model.follow(running(1));
    let [first, second] = [1, 2].map(|epoch| AttemptId { job: JOB, epoch: Epoch(epoch) });
    assert_eq!(model.log(JOB, NOW), Some(LogPlace::Growing(first, None)));
    model.follow(report(1, verdict(Verdict::Differs), EnvironmentKnowledge::Suite));
    model.follow(running(2));
    let place = model.log(JOB, NOW).unwrap();
    assert_eq!(place, LogPlace::Growing(second, Some(kept(1))));
    assert_eq!(place.clone().kept_of(first), Some(kept(1)));
    assert_eq!(place.kept_of(second), None);
    // The second is lost: what is kept is still the first's.
    model.follow(placed(queued(0)));
    assert_eq!(model.log(JOB, NOW).unwrap().kept_of(second), None);
}

#[test]
fn an_attempt_is_awaited_where_its_time_has_come() {
    let mut model = ReadModel::default();
    model.follow(job());
    model.follow(placed(queued(NOW.0)));
    assert_eq!(model.log(JOB, NOW), Some(LogPlace::Awaited(None)));
    model.follow(placed(queued(NOW.0 + 1)));
    assert_eq!(model.log(JOB, NOW), None, "it is delayed");
    model.follow(report(1, verdict(Verdict::Differs), EnvironmentKnowledge::Suite));
    model.follow(placed(StoredPlace::Decided));
    assert_eq!(model.log(JOB, NOW), Some(LogPlace::Kept(kept(1))));
    let [first, second] = [1, 2].map(|epoch| AttemptId { job: JOB, epoch: Epoch(epoch) });
    assert_eq!(model.ending(first).as_deref(), Some("1 differs"));
    assert_eq!(model.ending(second), None);
    // An operator pushes it: the next attempt is the one to follow.
    model.follow(placed(queued(0)));
    assert_eq!(model.log(JOB, NOW), Some(LogPlace::Awaited(Some(kept(1)))));
    model.follow(placed(StoredPlace::Dropped));
    assert_eq!(model.log(JOB, NOW), Some(LogPlace::Kept(kept(1))));
}

#[test]
fn a_history_has_the_newest_reports_first_each_once() {
    let mut model = ReadModel::default();
    assert_eq!(model.history(JOB), [0; 0]);
    model.follow(job());
    let reported = |number| report(number, verdict(Verdict::Differs), EnvironmentKnowledge::Suite);
    for number in [2, 1, 3, 2] {
        model.follow(reported(number));
    }
    assert_eq!(model.history(JOB), [3, 2, 1]);
    (4..200).for_each(|number| model.follow(reported(number)));
    let newest: Vec<u64> = (150..200).rev().collect();
    assert_eq!(model.history(JOB), newest);
}

#[test]
fn filters_name_binary_or_source_and_every_field_must_match() {
    let mut model = ReadModel::default();
    model.follow(job());
    let count = |filter: PackageFilter| model.packages(&[filter], None, 10).unwrap().rows.len();
    let name = |name: &str| PackageFilter { name: Some(name.into()), ..Default::default() };
    assert_eq!(count(name("hello")), 1);
    assert_eq!(count(name("hello-*")), 1);
    assert_eq!(count(name("hell")), 0);
    let release = PackageFilter { release: Some("trixie".into()), ..name("hello") };
    assert_eq!(count(release), 0);
    let status = PackageFilter { status: Some(PackageStatus::Differs), ..name("hello") };
    assert_eq!(count(status), 0);
    assert!(model.packages(&[name("[")], None, 10).is_err());
}

#[test]
fn jobs_are_chosen_by_what_is_known_about_them() {
    let by = |status| PackageFilter { status: Some(status), ..PackageFilter::default() };
    let mut model = ReadModel::default();
    model.follow(job());
    let chosen = |model: &ReadModel, filters: &[PackageFilter]| {
        model.matching_jobs(filters, None).unwrap().rows
    };
    model.follow(placed(queued(0)));
    assert_eq!(chosen(&model, &[by(PackageStatus::Unknown)]), [JOB]);
    model.follow(placed(StoredPlace::Dropped));
    assert_eq!(chosen(&model, &[by(PackageStatus::Unknown)]), []);
    assert_eq!(chosen(&model, &[by(PackageStatus::Dropped)]), [JOB]);
    assert_eq!(model.counts(), [(PackageStatus::Dropped, 1)]);
    model.follow(placed(queued(0)));
    assert_eq!(model.counts(), [(PackageStatus::Unknown, 1)]);
    let differs = verdict(Verdict::Differs);
    model.follow(report(1, differs, EnvironmentKnowledge::Recorded));
    model.follow(placed(StoredPlace::Dropped));
    let bad = [by(PackageStatus::Differs), by(PackageStatus::Missing)];
    assert_eq!(chosen(&model, &bad), [JOB], "a verdict is shown, whatever the place");
    assert_eq!(model.packages(&bad, None, 10).unwrap().rows.len(), 1, "each artifact once");
    let both = [by(PackageStatus::Differs), PackageFilter::default()];
    assert_eq!(model.packages(&both, None, 10).unwrap().rows.len(), 1);
    let named = PackageFilter { name: Some("other".into()), ..by(PackageStatus::Differs) };
    assert_eq!(chosen(&model, &[named]), []);
}

/// A job that waits for its next try after so many faults in a row; `told`: the queue knows the
/// last one.
fn failing(faults: u32, due: i64, told: Option<Fault>) -> Fact {
    let stand =
        Stand { place: queued(due), epoch: Epoch(faults), faults, fault: told.map(Arc::new) };
    Fact::Placed(JOB, stand)
}

fn faults(model: &ReadModel) -> Vec<Trouble> {
    model.faults(&PackageFilter::default(), None).unwrap().rows
}

#[test]
fn a_fault_shows_from_the_first_one_on_with_its_number_and_next_try() {
    let mut model = ReadModel::default();
    model.follow(job());
    assert_eq!(faults(&model), []);
    let fault = |kind, detail: &str| Fault { kind, detail: detail.into() };
    let fetch = fault(FaultKind::FetchFailed, "cannot fetch http://m/x: refused");
    model.follow(failing(1, 15_000, Some(fetch.clone())));
    let row = shown(&model);
    assert_eq!((row.status, row.verdict), (PackageStatus::Unknown, None));
    assert_eq!(row.fault, Some(FaultKind::FetchFailed));
    assert_eq!(row.reason.as_deref(), Some("cannot fetch http://m/x: refused"));
    let text = "fetch-failed: cannot fetch http://m/x: refused".to_owned();
    let (subject, next) = (Subject::Job(JOB), Some(UtcMillis(15_000)));
    assert_eq!(faults(&model), [Trouble { subject, text, times: 1, next }]);

    // It is tried again: the last fault is still the last one.
    let place =
        StoredPlace::Leased { waiting: WAITING, worker: WorkerId(1), granted_at: UtcMillis(1) };
    let fault_of = Some(Arc::new(fetch));
    model.follow(Fact::Placed(JOB, Stand { place, epoch: Epoch(2), faults: 1, fault: fault_of }));
    assert_eq!((faults(&model)[0].times, faults(&model)[0].next), (1, None));

    // A lost lease has no report; a parked job names its own fault.
    model.follow(failing(2, 30_000, Some(fault(FaultKind::WorkerLost, "silent for 900 s"))));
    assert_eq!((shown(&model).fault, faults(&model)[0].times), (Some(FaultKind::WorkerLost), 2));
    let full = fault(FaultKind::DiskFull, "no space");
    let parked =
        StoredPlace::Parked { waiting: WAITING, fault: full, until: Some(UtcMillis(9)), times: 1 };
    model.follow(Fact::Placed(
        JOB,
        Stand { place: parked, epoch: Epoch(8), faults: 8, fault: None },
    ));
    let row = &faults(&model)[0];
    assert_eq!((row.text.as_str(), row.times), ("disk-full: no space", 8));
    assert_eq!(row.next, Some(UtcMillis(9)));

    model.follow(placed(queued(0)));
    assert_eq!((faults(&model), shown(&model).fault), (vec![], None));
}

#[test]
fn after_a_restart_the_newest_report_tells_of_the_fault() {
    let mut model = ReadModel::default();
    let missing = Fault { kind: FaultKind::BackendMissing, detail: "no gpgv".into() };
    model.follow(job());
    model.follow(failing(3, 60_000, None));
    assert_eq!(faults(&model), [], "nothing is known of it");
    model.follow(report(1, Outcome::Fault(missing), EnvironmentKnowledge::Recorded));
    assert_eq!(faults(&model)[0].text, "backend-missing: no gpgv");
    // A verdict is shown as it is, whatever a later attempt met.
    model.follow(report(2, verdict(Verdict::Differs), EnvironmentKnowledge::Recorded));
    assert_eq!((shown(&model).status, shown(&model).fault), (PackageStatus::Differs, None));
}

#[test]
fn a_profile_that_follows_nothing_is_named_after_its_sync() {
    let synced = || {
        let index = IndexState { releases: Vec::new(), settings: Sha256([0; 32]) };
        let record = ProfileRecord { index, synced_at: UtcMillis(5), synced_in_ms: 1 };
        Fact::Synced("p".into(), record)
    };
    let mut model = ReadModel::default();
    model.sync_state("p".into(), SyncState::default());
    assert_eq!(model.troubles(), [], "nothing is known yet");
    model.follow(synced());
    let (subject, text) = (Subject::Profile("p".into()), NOTHING.to_owned());
    let trouble = Trouble { subject, text, times: 1, next: None };
    assert_eq!(model.troubles(), std::slice::from_ref(&trouble));
    // A failed sync says what is wrong by itself.
    let error = Some("cannot fetch".to_owned());
    model.sync_state("p".into(), SyncState { error, ..SyncState::default() });
    assert_eq!(model.troubles(), []);
    let own = Trouble { text: "the index names no package for riscv64".into(), ..trouble };
    let troubles = vec![own.clone()];
    model.sync_state("p".into(), SyncState { troubles, ..SyncState::default() });
    model.follow(job());
    assert_eq!(model.troubles(), [own], "it has a job");
}

/// A report of this outcome, accepted then.
fn accepted(sequence: u64, at: i64, outcome: Outcome) -> Fact {
    let Fact::Accepted(record, _) = report(sequence, outcome, EnvironmentKnowledge::Recorded)
    else {
        panic!("a report");
    };
    let record = ReportRecord { accepted_at: UtcMillis(at), ..ReportRecord::clone(&record) };
    Fact::Accepted(Arc::new(record), sequence)
}

#[test]
fn what_was_first_stays_whatever_comes_in_whichever_order() {
    let fault = Fault { kind: FaultKind::DiskFull, detail: "no space".into() };
    let reports = [
        accepted(1, 10, Outcome::Fault(fault)),
        accepted(2, 20, Outcome::BuildFailed { reason: "r".into() }),
        accepted(3, 30, verdict(Verdict::Reproduced)),
        accepted(4, 40, verdict(Verdict::Differs)),
        accepted(5, 50, verdict(Verdict::Differs)),
        accepted(6, 60, verdict(Verdict::Reproduced)),
    ];
    let seen = Some(SEEN);
    let (built, differed) = (Some(UtcMillis(20)), Some(UtcMillis(40)));
    let mut model = ReadModel::default();
    model.follow(job());
    let steps = [None, built, built, built, built, built].into_iter();
    let steps = steps.zip([None, None, None, differed, differed, differed]);
    for (fact, (built, differed)) in reports.iter().zip(steps) {
        model.follow(fact.clone());
        assert_eq!(dated(&model).times, FirstTimes { seen, built, differed });
    }
    let all = FirstTimes { seen, built, differed };
    for fact in &reports {
        model.follow(fact.clone());
    }
    assert_eq!(dated(&model).times, all, "each of them again");
    let mut model = ReadModel::default();
    for fact in reports.iter().rev() {
        model.follow(fact.clone());
    }
    model.follow(job());
    assert_eq!(dated(&model).times, all, "before their job, the last one first");
}
