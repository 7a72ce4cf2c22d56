//! A record that is missing is noticed by what others say of it.

use core::time::Duration;

use super::harness::{Harness, assignments, failed, fault, good, groups};
use crate::domain::queue::{Restored, Settings};
use crate::protocol::FaultKind;
use crate::protocol::stored::{
    self, Counters, JobRecord, JobState, Record, ReportRecord, StoredPlace,
};

/// Jobs that are decided, tried again, leased and waiting.
fn harness() -> Harness {
    let mut harness = Harness::with(Settings::default());
    harness.sync("p", "1", groups(&["a", "b", "c", "d", "e"]));
    let (session, granted) = harness.ready(3);
    let (_, effects) = harness.report(session, 3, &granted[0], good(&granted[0]));
    let next = assignments(&effects);
    let (_, effects) = harness.report(session, 3, &next[0], failed());
    let next = assignments(&effects);
    harness.report(session, 3, &next[0], fault(FaultKind::FetchFailed));
    harness.advance(Duration::from_secs(1));
    harness
}

fn is_noticed(harness: &Harness) -> bool {
    let mut restored = Restored::default();
    for (key, value) in &harness.stored {
        restored.take(key, value).unwrap();
    }
    harness.whole().is_err() || restored.check().is_err()
}

#[test]
fn each_lost_record_of_reports_and_jobs_is_noticed() {
    let mut harness = harness();
    assert!(!is_noticed(&harness));
    let watched = [Counters::TABLE, ReportRecord::TABLE, JobState::TABLE, JobRecord::TABLE];
    let keys: Vec<Vec<u8>> = harness.stored.keys().cloned().collect();
    let mut seen = 0;
    for key in keys.into_iter().filter(|key| watched.contains(&key[0])) {
        let value = harness.stored.remove(&key).unwrap();
        assert!(is_noticed(&harness), "nobody misses {key:?}");
        harness.stored.insert(key, value);
        seen += 1;
    }
    assert!(seen > 10, "{seen} records");
}

#[test]
fn both_sides_of_a_decision_are_wanted() {
    let mut harness = harness();
    let decided = harness.stored.iter().find_map(|(key, value)| {
        let state: JobState = (key[0] == JobState::TABLE).then(|| stored::read(value).unwrap())?;
        (state.place == StoredPlace::Decided).then(|| (key.clone(), state))
    });
    let (key, state) = decided.unwrap();
    let mut forgetful = state.clone();
    forgetful.grants.iter_mut().for_each(|grant| grant.build = None);
    harness.stored.insert(key.clone(), stored::write(&forgetful).to_vec());
    let said = harness.whole().unwrap_err();
    assert!(said.contains("does not know of its build"), "{said}");
    harness.stored.insert(key, stored::write(&state).to_vec());
    harness.stored.remove(&ReportRecord::key(1));
    let said = harness.whole().unwrap_err();
    assert!(said.contains("report 1 is missing"), "{said}");
    assert!(said.contains("is decided and has no report"), "{said}");
}
