use rebuilder_actors::domain::report::key_id;
use rebuilder_actors::protocol::wire::v1::ctl::{
    JobCounts, Package, PackageStatus, Profile, Queued, RunningJob, ShownPlace, Status, Worker,
};
use rebuilder_actors::protocol::wire::v1::history::{DatedPackage, FirstTimes};
use rebuilder_actors::protocol::{
    AttemptId, BuildId, EnvironmentKnowledge, Epoch, Evidence, FaultKind, IndexTrust, InputId,
    Isolation, JobKey, PublicKey, Sha256, SignerKind, Stage, UtcMillis, Verdict, WorkerId,
};

use crate::json::{self, StatusRow};
use crate::list::{ListArgs, Row, Rows, Show};
use crate::rows::Quarantined;
use crate::{status, words};

const NOW: UtcMillis = UtcMillis(1_767_225_600_000);

fn show(json: bool) -> Show {
    Show { json, color: false, now: NOW, width: None }
}

fn text<R: Row>(rows: &[R], json: bool) -> String {
    let mut shown = Rows::new(R::COLUMNS, show(json), &ListArgs::default()).unwrap();
    let mut text: String = rows.iter().filter_map(|row| shown.push(row)).collect();
    text.push_str(&shown.finish().0);
    text
}

fn evidence(environment: EnvironmentKnowledge) -> Evidence {
    let (index, isolation) = (IndexTrust::Signed, Isolation::Full);
    Evidence { index, environment, isolation, signer: SignerKind::WorkerKey }
}

pub(crate) fn package(name: &str, status: PackageStatus) -> Package {
    Package {
        name: name.into(),
        version: "1.0-1".into(),
        source: "src".into(),
        distribution: "debian".into(),
        release: Some("sid".into()),
        component: None,
        architecture: "amd64".into(),
        url: "https://mirror.example.org/a.deb".into(),
        file: "a.deb".into(),
        sha256: None,
        status,
        verdict: None,
        evidence: None,
        gate_grade: false,
        flaky: false,
        rebuilt_sha256: None,
        job: InputId(7),
        build: None,
        built_at: None,
        worker: None,
        has_difference: false,
        reason: None,
        fault: None,
    }
}

fn packages() -> Vec<Package> {
    let mut good = package("good", PackageStatus::Reproduced);
    good.evidence = Some(evidence(EnvironmentKnowledge::Recorded));
    good.verdict = Some(Verdict::Reproduced);
    good.gate_grade = true;
    good.sha256 = Some(Sha256([1; 32]));
    good.rebuilt_sha256 = good.sha256;
    good.build = Some(BuildId(3));
    good.built_at = Some(NOW);
    good.worker = Some(WorkerId(2));
    let mut assumed = package("assumed", PackageStatus::Differs);
    assumed.evidence = Some(evidence(EnvironmentKnowledge::Suite));
    assumed.verdict = Some(Verdict::Differs);
    assumed.flaky = true;
    let mut parked = package("parked", PackageStatus::Parked);
    parked.fault = Some(FaultKind::TimedOut(Stage::Build));
    parked.reason = Some("no\u{1b}[2J end".into());
    vec![good, assumed, parked]
}

#[test]
fn packages_as_a_table() {
    let expected = "\
STATUS                                NAME     VERSION  ARCH   SOURCE  DISTRIBUTION  RELEASE  \
COMPONENT  GATE  BUILT                NOTE
reproduced                            good     1.0-1    amd64  src     debian        sid      \
-          yes   2026-01-01 00:00:00
differs (assumed environment), flaky  assumed  1.0-1    amd64  src     debian        sid      \
-          no    -                    not to gate on: how it was built is not recorded
parked                                parked   1.0-1    amd64  src     debian        sid      \
-          -     -                    timed-out (build): no?[2J end
";
    assert_eq!(text(&packages(), false), expected);
    assert_eq!(text::<Package>(&[], false), "");
}

#[test]
fn every_table_fits_a_terminal_of_60_80_and_200_columns() {
    fn check<R: Row>(rows: &[R]) {
        for width in [60, 80, 200] {
            let show = Show { width: Some(width), ..show(false) };
            let mut shown = Rows::new(R::COLUMNS, show, &ListArgs::default()).unwrap();
            rows.iter().for_each(|row| drop(shown.push(row)));
            let (text, _) = shown.finish();
            assert_eq!(text.lines().count(), rows.len() + 1);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
    let mut long = packages();
    long[1].name = "golang-github-some-long-name-of-a-library-dev".into();
    long[1].version = "1:20260101.0+really3.14.15~rc1-1+deb13u2".into();
    long[2].reason = Some("a reason that goes on and on ".repeat(8));
    check(&long);
    check(&[worker()]);
    check(&[Queued {
        releases: vec!["trixie-proposed-updates".into(); 4],
        ..queued(ShownPlace::Ready)
    }]);
    let error = Some("the index lost 99 of 100 packages, more than 50 %".into());
    check(&[Profile { error, ..profile() }]);
    check(&[Quarantined { actor: "queue".into(), text: "x".repeat(300), at: NOW }]);
}

#[test]
fn why_distributions_may_not_gate_on_a_verdict_is_said_in_words() {
    let mut package = packages().remove(0);
    assert_eq!((words::gate(&package), words::not_of_gate_grade(&package)), ("yes", None));
    package.gate_grade = false;
    for (change, said) in [
        (Evidence { index: IndexTrust::HashOnly, ..package.evidence.unwrap() }, "not signed"),
        (Evidence { isolation: Isolation::Network, ..package.evidence.unwrap() }, "shut in"),
        (Evidence { signer: SignerKind::Legacy, ..package.evidence.unwrap() }, "older kind"),
        (package.evidence.unwrap(), "weaker"),
    ] {
        package.evidence = Some(change);
        let reason = words::not_of_gate_grade(&package).unwrap();
        assert!(reason.contains(said), "{reason}");
    }
    package.evidence = None;
    assert_eq!((words::gate(&package), words::not_of_gate_grade(&package)), ("-", None));
}

#[test]
fn a_difference_is_a_reproach_only_where_the_environment_is_known() {
    let mut differs = package("a", PackageStatus::Differs);
    differs.evidence = Some(evidence(EnvironmentKnowledge::Recorded));
    assert_eq!(words::shown_status(&differs), "differs");
    assert_eq!(words::tone(&differs), crate::table::Tone::Bad);
    differs.evidence = Some(evidence(EnvironmentKnowledge::Suite));
    assert_eq!(words::tone(&differs), crate::table::Tone::Doubtful);
}

#[test]
fn packages_as_json() {
    let good = format!(
        concat!(
            r#"{{"name":"good","version":"1.0-1","source":"src","distribution":"debian","#,
            r#""release":"sid","component":null,"architecture":"amd64","#,
            r#""url":"https://mirror.example.org/a.deb","file":"a.deb","sha256":"{0}","#,
            r#""status":"reproduced","verdict":"reproduced","evidence":{{"index":"signed","#,
            r#""waived":[],"environment":"recorded","isolation":"full","signer":"worker-key"}},"#,
            r#""gate_grade":true,"flaky":false,"rebuilt_sha256":"{0}","job":7,"build":3,"#,
            r#""built_at":"2026-01-01T00:00:00.000Z","worker":2,"has_difference":false,"#,
            r#""reason":null,"fault":null,"fault_stage":null,"#,
            r#""first_seen_at":null,"first_built_at":null,"first_differed_at":null}}"#
        ),
        "01".repeat(32)
    );
    let rows = packages();
    assert_eq!(rows[0].json(), good);
    let times = FirstTimes { seen: Some(NOW), built: None, differed: Some(UtcMillis(0)) };
    let dated = DatedPackage { package: rows[0].clone(), times };
    let seen = r#""first_seen_at":"2026-01-01T00:00:00.000Z","first_built_at":null,"#;
    assert!(dated.json().contains(seen), "{}", dated.json());
    let differed = r#","first_differed_at":"1970-01-01T00:00:00.000Z"}"#;
    assert!(dated.json().ends_with(differed), "{}", dated.json());
    let array: serde_json::Value = serde_json::from_str(&text(&rows, true)).unwrap();
    assert_eq!(array[1]["status"], "differs");
    assert_eq!(array[1]["evidence"]["environment"], "suite");
    assert_eq!(array[1]["flaky"], true);
    assert_eq!(array[2]["fault"], "timed-out");
    assert_eq!(array[2]["fault_stage"], "build");
    assert_eq!(array[2]["reason"], "no\u{1b}[2J end");
    assert_eq!(text::<Package>(&[], true), "[]\n");
}

fn key() -> JobKey {
    JobKey {
        distribution: "debian".into(),
        backend: "debian".into(),
        source: "bash".into(),
        version: "5-1".into(),
        architecture: "amd64".into(),
        input: "bash_5-1_amd64.buildinfo".into(),
    }
}

fn worker() -> Worker {
    Worker {
        id: WorkerId(1),
        key: PublicKey([0xab; 32]),
        name: "oak".into(),
        address: Some("192.0.2.1:5000".into()),
        revoked: false,
        last_seen: Some(UtcMillis(NOW.0 - 3_000)),
        slots: 4,
        running: 1,
        backends: vec!["debian".into()],
        architectures: vec!["amd64".into(), "all".into()],
        free_memory: 8 << 30,
        free_disk: 1 << 40,
    }
}

fn profile() -> Profile {
    Profile {
        name: "sid".into(),
        distribution: "debian".into(),
        jobs: 3,
        artifacts: 9,
        synced_at: Some(NOW),
        synced_in_ms: 1500,
        error: Some("cannot fetch".into()),
        next_at: None,
    }
}

fn queued(place: ShownPlace) -> Queued {
    Queued {
        job: InputId(9),
        key: key(),
        releases: vec!["sid".into(), "trixie".into()],
        priority: -5,
        queued_at: NOW,
        place,
        attempts: 2,
    }
}

#[test]
fn the_queue_as_a_table_and_as_json() {
    let rows = [
        queued(ShownPlace::Ready),
        queued(ShownPlace::Running { worker: WorkerId(3), since: UtcMillis(NOW.0 - 65_000) }),
        queued(ShownPlace::Parked { reason: "too large".into(), until: Some(NOW) }),
        queued(ShownPlace::Delayed { until: NOW }),
    ];
    let expected = "\
PLACE    PRIORITY  QUEUED               SOURCE  VERSION  ARCH   DISTRIBUTION  RELEASES    \
ATTEMPTS  JOB  NOTE
ready    -5        2026-01-01 00:00:00  bash    5-1      amd64  debian        sid,trixie  \
2         9
running  -5        2026-01-01 00:00:00  bash    5-1      amd64  debian        sid,trixie  \
2         9    worker 3, started 1m 5s ago
parked   -5        2026-01-01 00:00:00  bash    5-1      amd64  debian        sid,trixie  \
2         9    too large; tried again 2026-01-01 00:00:00
delayed  -5        2026-01-01 00:00:00  bash    5-1      amd64  debian        sid,trixie  \
2         9    until 2026-01-01 00:00:00
";
    assert_eq!(text(&rows, false), expected);
    let json = concat!(
        r#"{"job":9,"distribution":"debian","backend":"debian","source":"bash","version":"5-1","#,
        r#""architecture":"amd64","input":"bash_5-1_amd64.buildinfo","releases":["sid","trixie"],"#,
        r#""priority":-5,"queued_at":"2026-01-01T00:00:00.000Z","place":"parked","#,
        r#""until":"2026-01-01T00:00:00.000Z","worker":null,"since":null,"reason":"too large","#,
        r#""attempts":2}"#
    );
    assert_eq!(rows[2].json(), json);
}

#[test]
fn workers_and_profiles() {
    let worker = worker();
    let (key, id) = ("ab".repeat(32), key_id(&worker.key));
    let expected = format!(
        "\
STATE  ID  NAME  ADDRESS         SEEN    RUNNING  BACKENDS  ARCHITECTURES  FREE MEMORY  FREE \
DISK  KEY                                                               KEY ID
busy   1   oak   192.0.2.1:5000  3s ago  1/4      debian    amd64,all      8.0 GiB      1.0 \
TiB    {key}  {id}
"
    );
    assert_eq!(text(std::slice::from_ref(&worker), false), expected);
    let json = format!(
        concat!(
            r#"{{"id":1,"key":"{key}","key_id":"{id}","name":"oak","connected":true,"#,
            r#""address":"192.0.2.1:5000","#,
            r#""revoked":false,"last_seen":"2025-12-31T23:59:57.000Z","slots":4,"running":1,"#,
            r#""backends":["debian"],"architectures":["amd64","all"],"#,
            r#""free_memory_bytes":8589934592,"free_disk_bytes":1099511627776}}"#
        ),
        key = key,
        id = id,
    );
    assert_eq!(worker.json(), json);
    let profile = profile();
    let expected = "\
PROFILE  DISTRIBUTION  JOBS  ARTIFACTS  SYNCED               TOOK  NEXT  ERROR
sid      debian        3     9          2026-01-01 00:00:00  1s    now   cannot fetch
";
    assert_eq!(text(std::slice::from_ref(&profile), false), expected);
    let json = concat!(
        r#"{"name":"sid","distribution":"debian","jobs":3,"artifacts":9,"#,
        r#""synced_at":"2026-01-01T00:00:00.000Z","synced_in_ms":1500,"error":"cannot fetch","#,
        r#""next_at":null}"#
    );
    assert_eq!(profile.json(), json);
}

#[test]
fn quarantine() {
    let row = Quarantined { actor: "results".into(), text: "panic".into(), at: NOW };
    let json = r#"{"actor":"results","text":"panic","at":"2026-01-01T00:00:00.000Z"}"#;
    assert_eq!(row.json(), json);
    let expected = "\
TIME                 ACTOR    MESSAGE
2026-01-01 00:00:00  results  panic
";
    assert_eq!(text(&[row], false), expected);
}

#[test]
fn the_coordinator_at_a_glance() {
    let status = Status {
        software: "rebuilder/1.0.0".into(),
        uptime_ms: 90_000,
        key: PublicKey([0xcd; 32]),
        jobs: JobCounts {
            ready: 1,
            delayed: 2,
            running: 1,
            parked: 3,
            decided: 40,
            dropped: 0,
            next_due_ms: Some(300_000),
        },
        artifacts: vec![(PackageStatus::Reproduced, 90), (PackageStatus::BuildFailed, 2)],
        running: vec![RunningJob {
            attempt: AttemptId { job: InputId(9), epoch: Epoch(2) },
            key: key(),
            worker: WorkerId(1),
            worker_name: "oak".into(),
            stage: Some(Stage::Build),
            age_ms: 61_000,
            log_bytes: 2048,
        }],
        quarantined: 1,
    };
    let (key, id) = ("cd".repeat(32), key_id(&status.key));
    let expected = format!(
        "\
coordinator  rebuilder/1.0.0, up 1m 30s
key          {key}
key id       {id}
jobs         1 ready, 2 delayed (next in 5m 0s), 1 running, 3 parked, 40 decided, 0 dropped
artifacts    90 reproduced, 0 differs, 0 missing, 2 build-failed, 0 unknown, 0 parked, 0 dropped
quarantine   1 set aside after panics; see `quarantine ls`

STAGE  SOURCE  VERSION  ARCH   DISTRIBUTION  WORKER  SINCE  LOG      ATTEMPT
build  bash    5-1      amd64  debian        oak     1m 1s  2.0 KiB  9-2
"
    );
    assert_eq!(status::text(&status, show(false)), expected);
    let json = format!(
        concat!(
            r#"{{"software":"rebuilder/1.0.0","uptime_ms":90000,"key":"{key}","#,
            r#""key_id":"{id}","#,
            r#""jobs":{{"ready":1,"delayed":2,"running":1,"parked":3,"decided":40,"dropped":0,"#,
            r#""next_due_ms":300000}},"artifacts":{{"reproduced":90,"differs":0,"missing":0,"#,
            r#""build-failed":2,"unknown":0,"parked":0,"dropped":0}},"running":[{{"#,
            r#""attempt":"9-2","job":9,"#,
            r#""distribution":"debian","backend":"debian","source":"bash","version":"5-1","#,
            r#""architecture":"amd64","input":"bash_5-1_amd64.buildinfo","worker":1,"#,
            r#""worker_name":"oak","stage":"build","age_ms":61000,"log_bytes":2048}}],"#,
            r#""quarantined":1,"troubles":[]}}"#
        ),
        key = key,
        id = id,
    );
    assert_eq!(json::to_line(&StatusRow::from(&status)), json);
}
