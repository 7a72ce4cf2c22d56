//! Whoever pages, in whatever order and in pages of whatever size, sees each row that matches once.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::read_model::ReadModel;
use super::*;
use crate::domain::queue::{Fact, Job};
use crate::domain::results::Query;
use crate::protocol::stored::Membership;
use crate::protocol::{
    Artifact, ArtifactId, BuildInput, IndexTrust, InputId, JobKey, Sha256, SourceId,
};

const NAMES: [&str; 4] = ["a", "ab", "b", "cab"];
const RELEASES: [Option<&str>; 3] = [None, Some("old"), Some("new")];

fn artifact(name: u8, arch: u8) -> Artifact {
    let name = NAMES[usize::from(name) % 4];
    Artifact {
        name: name.into(),
        version: "1".into(),
        component: [None, Some("main".into())][usize::from(arch / 2) % 2].clone(),
        architecture: ["amd64", "all"][usize::from(arch) % 2].into(),
        file: format!("{name}-{arch}.deb").into(),
        url: "u".into(),
        size: None,
        sha256: Some(Sha256([arch; 32])),
    }
}

/// A job, its release, and names and architectures of its new artifacts, by small numbers.
type Named = (u8, u8, Vec<(u8, u8)>);

/// A model of jobs that were named by syncs in this order; a job that is named again has lost the
/// artifacts that it had, but for the first, and nobody wants one without any.
fn model(named: &[Named]) -> ReadModel {
    let mut model = ReadModel::new(1);
    let mut id = 0;
    let mut first: std::collections::BTreeMap<u8, (ArtifactId, Artifact)> = Default::default();
    for (job, release, artifacts) in named {
        let job = job % 6;
        let mut list: Vec<(ArtifactId, Artifact)> = first.get(&job).cloned().into_iter().collect();
        for (name, arch) in artifacts {
            id += 1;
            list.push((ArtifactId(id), artifact(*name, *arch)));
        }
        if let Some(one) = list.first() {
            first.insert(job, one.clone());
        }
        let release = RELEASES[usize::from(*release) % 3];
        let membership = |profile: &str, list: Vec<(ArtifactId, Artifact)>| Membership {
            profile: profile.into(),
            release: release.map(Into::into),
            // Jobs of one source package on several architectures.
            source: SourceId(i32::from(job / 2) * 3 + i32::from(release.is_some())),
            input: BuildInput::Suite,
            source_file: None,
            archives: 1,
            index: IndexTrust::Signed,
            artifacts: list,
        };
        let twice: Vec<_> =
            list.iter().map(|(at, a)| (ArtifactId(at.0 + 1_000), a.clone())).collect();
        let memberships = match artifacts.len() {
            0 => Vec::new(),
            // A second profile wants the same files.
            3 => vec![membership("p", list), membership("q", twice)],
            _ => vec![membership("p", list)],
        };
        let key = JobKey {
            distribution: ["debian", "arch"][usize::from(job / 4) % 2].into(),
            backend: "b".into(),
            source: NAMES[usize::from(job / 2)].into(),
            version: "1".into(),
            architecture: ["amd64", "arm64"][usize::from(job) % 2].into(),
            input: "i".into(),
        };
        let job = Job::new(InputId(i32::from(job)), key.into(), &memberships, None);
        model.follow(Fact::Job(Arc::new(job)));
    }
    model
}

/// A row by name, number and job, as it is sorted.
type Seen = (String, i32, i32);

trait Row: Listed {
    fn seen(&self) -> Seen;
}

impl Row for Binary {
    fn seen(&self) -> Seen {
        let package = &self.listed.package;
        (package.name.clone(), self.id.0, package.job.0)
    }
}

impl Row for Source {
    fn seen(&self) -> Seen {
        (self.name.clone(), self.id.0, self.job.0)
    }
}

fn gathered<L: Row>(model: &ReadModel, which: &Which, limit: usize) -> Vec<Key> {
    let (gather, mut keys, mut after) = (Gather::<L>::new(which.clone()), Vec::new(), None);
    loop {
        let page = gather.page(model, after, limit).unwrap();
        keys.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

fn walked<L: Row>(model: &ReadModel, walk: &Walk<L>, limit: usize) -> Vec<Seen> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = walk.page(model, after, limit).unwrap();
        rows.extend(page.rows.iter().map(Row::seen));
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

fn check<L: Row>(model: &ReadModel, which: &Which, limit: usize, bound: i32) {
    let keys = gathered::<L>(model, which, limit);
    let rows: Vec<L> = fetch(model, &keys);
    assert_eq!(rows.len(), keys.len());
    for (row, key) in rows.iter().zip(&keys) {
        let (name, id, job) = row.seen();
        assert_eq!((&*key.name, key.id, key.job.0), (&*name, id, job));
    }
    assert!(keys.len() <= model.breadth::<L>(which, 100) * 100);
    for (order, descending) in
        [(Order::Id, false), (Order::Id, true), (Order::Name, false), (Order::Name, true)]
    {
        let mut expected: Vec<Seen> = rows.iter().map(Row::seen).collect();
        match order {
            Order::Id => expected.sort_by_key(|(_, id, job)| (*id, *job)),
            Order::Name => expected.sort(),
        }
        let mut walk = Walk::<L>::new(which.clone(), order);
        walk.descending = descending;
        if descending {
            expected.reverse();
        }
        assert_eq!(walked(model, &walk, limit), expected, "{order:?} {descending} {which:?}");
        // From and up to a row that there is.
        let Some(place) = Walk::<L>::place(model, order, bound) else { continue };
        let at = |(name, id, _): &Seen| match order {
            Order::Id => Place { name: Box::default(), id: *id },
            Order::Name => Place { name: name.as_str().into(), id: *id },
        };
        let (behind, before): (Vec<Seen>, Vec<Seen>) = (
            expected.iter().filter(|row| at(row) > place).cloned().collect(),
            expected.iter().filter(|row| at(row) < place).cloned().collect(),
        );
        walk.above = Some(place.clone());
        assert_eq!(walked(model, &walk, limit), behind, "behind {bound}: {order:?} {descending}");
        (walk.above, walk.below) = (None, Some(place));
        assert_eq!(walked(model, &walk, limit), before, "before {bound}: {order:?} {descending}");
    }
    if which.is_counted() {
        let counted = if L::OF_ARTIFACTS {
            model.count_artifacts(which)
        } else {
            model.count_sources(which).values().sum()
        };
        assert_eq!(counted as usize, keys.len(), "{which:?}");
    }
}

fn which() -> impl Strategy<Value = Which> {
    let text = |texts: &'static [&'static str]| {
        prop::option::weighted(0.3, prop::sample::select(texts).prop_map(str::to_owned))
    };
    let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    let name = prop_oneof![
        name.clone().prop_map(NameIs::Exactly),
        name.clone().prop_map(NameIs::Beginning),
        name.prop_map(NameIs::Containing),
    ];
    let releases = prop_oneof![
        Just(Vec::new()),
        Just(vec!["old".to_owned()]),
        Just(vec!["new".to_owned(), "old".to_owned()])
    ];
    (
        text(&["debian", "arch", "other"]),
        releases,
        text(&["main", "none"]),
        text(&["amd64", "all", "arm64"]),
        prop::option::weighted(0.4, name),
        text(&["a", "b"]),
    )
        .prop_map(|(distribution, releases, component, architecture, name, source)| Which {
            distribution,
            releases,
            component,
            architecture,
            name,
            version: None,
            source,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_page_of_every_order_is_what_a_look_at_all_finds(
        named in prop::collection::vec(
            (any::<u8>(), any::<u8>(), prop::collection::vec((any::<u8>(), 0..4u8), 0..4)),
            0..12,
        ),
        which in which(),
        limit in 1..5usize,
        bound in 0..30,
    ) {
        let model = model(&named);
        check::<Binary>(&model, &which, limit, bound);
        check::<Source>(&model, &which, limit, bound);
    }
}
