//! A record that is missing is noticed by what others say of it.

use core::time::Duration;

use super::house::{House, assignments, failed, fault, good, groups};
use crate::domain::queue::{Restored, Settings};
use crate::protocol::FaultKind;
use crate::protocol::stored::key::table;
use crate::protocol::stored::v1::{JobState, Place};
use crate::protocol::stored::{self, key};

/// Jobs that are decided, tried again, leased and waiting.
fn house() -> House {
    let mut house = House::with(Settings::default());
    house.sync("p", "1", groups(&["a", "b", "c", "d", "e"]));
    let (session, granted) = house.ready(3);
    let (_, effects) = house.report(session, 3, &granted[0], good(&granted[0]));
    let next = assignments(&effects);
    let (_, effects) = house.report(session, 3, &next[0], failed());
    let next = assignments(&effects);
    house.report(session, 3, &next[0], fault(FaultKind::FetchFailed));
    house.advance(Duration::from_secs(1));
    house
}

fn is_noticed(house: &House) -> bool {
    let mut restored = Restored::default();
    for (key, value) in &house.stored {
        restored.take(key, value).unwrap();
    }
    house.whole().is_err() || restored.check().is_err()
}

#[test]
fn each_lost_record_of_reports_and_jobs_is_noticed() {
    let mut house = house();
    assert!(!is_noticed(&house));
    let watched = [table::COUNTERS, table::REPORT, table::STATE, table::JOB];
    let keys: Vec<Vec<u8>> = house.stored.keys().cloned().collect();
    let mut seen = 0;
    for key in keys.into_iter().filter(|key| watched.contains(&key[0])) {
        let value = house.stored.remove(&key).unwrap();
        assert!(is_noticed(&house), "nobody misses {key:?}");
        house.stored.insert(key, value);
        seen += 1;
    }
    assert!(seen > 10, "{seen} records");
}

#[test]
fn both_sides_of_a_decision_are_wanted() {
    let mut house = house();
    let decided = house.stored.iter().find_map(|(key, value)| {
        let state: JobState = (key[0] == table::STATE).then(|| stored::read(value).unwrap())?;
        (state.place == Place::Decided).then(|| (key.clone(), state))
    });
    let (key, state) = decided.unwrap();
    let mut forgetful = state.clone();
    forgetful.grants.iter_mut().for_each(|grant| grant.build = None);
    house.stored.insert(key.clone(), stored::write(&forgetful).to_vec());
    let said = house.whole().unwrap_err();
    assert!(said.contains("does not know of its build"), "{said}");
    house.stored.insert(key, stored::write(&state).to_vec());
    house.stored.remove(&key::report(1));
    let said = house.whole().unwrap_err();
    assert!(said.contains("report 1 is missing"), "{said}");
    assert!(said.contains("is decided and has no report"), "{said}");
}
