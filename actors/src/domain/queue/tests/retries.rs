use super::harness::{HOUR, Harness, assignments, bad, failed, good, groups};
use crate::domain::queue::{RetryPolicy, Settings};
use crate::protocol::stored::StoredPlace;
use crate::protocol::{Assignment, Ending, InputId};

const JOB: InputId = InputId(1);

/// Hours before each retry, until the job is decided or five were seen.
fn hours(max_retries: Option<u32>, ending: impl Fn(&Assignment) -> Ending) -> Vec<u64> {
    let retry = RetryPolicy { max_retries, ..RetryPolicy::default() };
    let mut harness = Harness::with(Settings { retry, ..Settings::default() });
    harness.sync("p", "1", groups(&["a"]));
    let (session, mut granted) = harness.ready(1);
    let mut hours = Vec::new();
    for seen in 1..=4 {
        harness.report(session, 1, &granted[0], ending(&granted[0]));
        if *harness.place(JOB) == StoredPlace::Decided {
            return hours;
        }
        let delay = harness.delay(JOB);
        hours.push(delay.as_secs() / 3600);
        let early = harness.advance(delay - HOUR);
        assert_eq!(assignments(&early), []);
        harness.status(session, seen, &[], &[]);
        harness.advance(HOUR);
        granted = assignments(&harness.status(session, seen, &[], &[]));
        assert_eq!(granted.len(), 1);
    }
    hours
}

#[test]
fn retries_come_after_growing_delays_up_to_the_limit() {
    assert_eq!(hours(None, bad), [24, 48, 72, 96]);
    assert_eq!(hours(None, |_| failed()), [24, 48, 72, 96]);
    assert_eq!(hours(Some(0), bad), [0; 0]);
    assert_eq!(hours(Some(2), bad), [24, 48]);
    assert_eq!(hours(None, good), [0; 0]);
}

#[test]
fn a_push_starts_over() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    harness.report(session, 1, &granted[0], bad(&granted[0]));
    let granted = assignments(&harness.push("a"));
    assert_eq!(harness.state(JOB).retries, 0);
    harness.report(session, 1, &granted[0], bad(&granted[0]));
    assert_eq!(harness.delay(JOB), 24 * HOUR);
}
