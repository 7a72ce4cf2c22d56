//! What the index finds is what a look at every job finds, whatever happened before.

use std::sync::Arc;

use proptest::prelude::*;

use super::ReadModel;
use crate::domain::queue::{Fact, Job, Stand};
use crate::protocol::stored::{Membership, Outcome, ReportRecord, StoredPlace, Waiting};
use crate::protocol::wire::v1::ctl::{Package, PackageFilter, PackageStatus};
use crate::protocol::{
    Artifact, ArtifactId, AttemptId, BuildId, BuildInput, EnvironmentKnowledge, Epoch, Evidence,
    IndexTrust, InputId, Isolation, JobKey, QueueId, Sha256, SignerKind, SourceId, UtcMillis,
    Verdict, WorkerId,
};

/// One change of a job, by small numbers that say which.
type Change = (u8, u8, u8);

fn pick<'a>(of: &[&'a str], number: u8) -> &'a str {
    of[usize::from(number) % of.len()]
}

fn artifact(number: u8) -> Artifact {
    let name = pick(&["a", "b", "c"], number);
    Artifact {
        name: name.into(),
        version: "1".into(),
        component: [None, Some("main".into()), Some("contrib".into())][usize::from(number / 3) % 3]
            .clone(),
        architecture: pick(&["amd64", "all"], number / 9).into(),
        file: format!("{name}.deb").into(),
        url: "u".into(),
        size: None,
        sha256: None,
    }
}

/// A job that nobody wants when `shape` says so.
fn job(id: InputId, shape: u8) -> Fact {
    let membership = Membership {
        profile: "p".into(),
        release: [None, Some("old".into()), Some("new".into())][usize::from(shape) % 3].clone(),
        source: SourceId(1),
        input: BuildInput::Suite,
        source_file: None,
        archives: 1,
        index: IndexTrust::Signed,
        artifacts: vec![
            (ArtifactId(1), artifact(shape)),
            (ArtifactId(2), artifact(shape.wrapping_add(1))),
        ],
    };
    let memberships = if shape.is_multiple_of(7) { Vec::new() } else { vec![membership] };
    let key = JobKey {
        distribution: pick(&["debian", "arch"], shape).into(),
        backend: "b".into(),
        source: pick(&["s", "a"], shape / 2).into(),
        version: "1".into(),
        architecture: "amd64".into(),
        input: id.to_string().into(),
    };
    Fact::Job(Arc::new(Job::new(id, key.into(), &memberships, None)))
}

fn placed(id: InputId, shape: u8) -> Fact {
    let waiting = Waiting { queue: QueueId(1), priority: 1, queued_at: UtcMillis(0) };
    let place = match shape % 3 {
        0 => StoredPlace::Queued { waiting, due: UtcMillis(0) },
        1 => StoredPlace::Dropped,
        _ => StoredPlace::Decided,
    };
    Fact::Placed(id, Stand { place, epoch: Epoch(1), faults: 0, fault: None })
}

fn report(id: InputId, shape: u8, sequence: u64) -> Fact {
    let verdicts = [Verdict::Reproduced, Verdict::Differs, Verdict::Missing];
    let rows = ["a", "b", "c"].iter().enumerate().map(|(number, name)| {
        let verdict = verdicts[(usize::from(shape) + number) % 3];
        (format!("{name}.deb").into(), verdict, None)
    });
    let outcome = match shape % 4 {
        0 => Outcome::BuildFailed { reason: "r".into() },
        _ => Outcome::Verdicts(rows.collect()),
    };
    let record = ReportRecord {
        attempt: AttemptId { job: id, epoch: Epoch(1) },
        worker: WorkerId(1),
        accepted_at: UtcMillis(5),
        started_at: UtcMillis(1),
        finished_at: UtcMillis(4),
        build: Some(BuildId(1)),
        outcome,
        evidence: Evidence {
            index: IndexTrust::Signed,
            environment: EnvironmentKnowledge::Recorded,
            isolation: Isolation::Full,
            signer: SignerKind::WorkerKey,
        },
        log: Sha256([2; 32]),
        log_bytes: 0,
    };
    Fact::Accepted(Arc::new(record), sequence)
}

fn rows(model: &ReadModel, filter: &PackageFilter, limit: usize) -> Vec<Package> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = model.packages(core::slice::from_ref(filter), after, limit).unwrap();
        rows.extend(page.rows.into_iter().map(|row| row.package));
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

fn fits(filter: &PackageFilter, row: &Package) -> bool {
    let text = |wanted: &Option<String>, found: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
    };
    filter.name.as_ref().is_none_or(|name| *name == row.name || *name == row.source)
        && filter.status.is_none_or(|status| status == row.status)
        && text(&filter.distribution, Some(&row.distribution))
        && text(&filter.release, row.release.as_deref())
        && text(&filter.component, row.component.as_deref())
        && text(&filter.architecture, Some(&row.architecture))
}

fn filters() -> impl Strategy<Value = PackageFilter> {
    let text = |of: &'static [&'static str]| {
        prop::option::of(prop::sample::select(of).prop_map(str::to_owned))
    };
    let statuses = [
        PackageStatus::Reproduced,
        PackageStatus::Differs,
        PackageStatus::Missing,
        PackageStatus::BuildFailed,
        PackageStatus::Unknown,
        PackageStatus::Dropped,
    ];
    let fields = (
        text(&["a", "b", "s", "nothing"]),
        prop::option::of(prop::sample::select(statuses.to_vec())),
        text(&["debian", "arch"]),
        text(&["old", "new"]),
        text(&["main", "contrib"]),
        text(&["amd64", "all"]),
    );
    fields.prop_map(|(name, status, distribution, release, component, architecture)| {
        let version = None;
        PackageFilter { name, version, status, distribution, release, component, architecture }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_index_finds_what_a_look_at_every_job_finds(
        changes in prop::collection::vec(any::<Change>(), 1..60),
        filter in filters(),
        limit in 1_usize..5,
    ) {
        let mut model = ReadModel::default();
        for ((id, kind, shape), sequence) in changes.into_iter().zip(1..) {
            let id = InputId(i32::from(id % 8) + 1);
            model.follow(match kind % 3 {
                0 => job(id, shape),
                1 => placed(id, shape),
                _ => report(id, shape, sequence),
            });
        }
        let all = rows(&model, &PackageFilter::default(), 100);
        let expected: Vec<&Package> = all.iter().filter(|row| fits(&filter, row)).collect();
        let found = rows(&model, &filter, limit);
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }
}
