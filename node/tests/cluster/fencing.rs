use rebuilder_actors::protocol::GrantNumber;

use crate::ctl::Ctl;
use crate::harness::{Harness, HarnessSettings};
use crate::peer::Peer;
use crate::tools::until_true;

/// A status that was on its way when the assignment was sent cannot know of it, and says nothing
/// about it; one that has seen it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_crossed_an_assignment_does_not_end_its_lease() {
    let harness = Harness::new(HarnessSettings::default());
    let _coordinator = harness.coordinator();
    let ctl = harness.ctl();
    let mut peer = Peer::join(&harness.address, &harness.key("w1"), "late").await;
    peer.status(GrantNumber(0), &[], 1001).await;
    let (number, assignment) = peer.assigned().await;
    assert_eq!((assignment.attempt.job.0, assignment.attempt.epoch.0), (1, 1));

    // Said before the assignment arrived, heard after it was sent.
    peer.status(GrantNumber(number.0 - 1), &[], 1002).await;
    until_heard(&ctl, 1002);
    let held = [("p00".to_owned(), "late".to_owned(), "1-1".to_owned())];
    assert_eq!(ctl.running(), held, "the lease stays");

    // It saw the assignment and does not do it: lost, and, as nobody else is there, given anew.
    peer.status(number, &[], 1003).await;
    let (next, assignment) = peer.assigned().await;
    assert!(next > number);
    assert_eq!((assignment.attempt.job.0, assignment.attempt.epoch.0), (1, 2));
    until_heard(&ctl, 1003);
    let held = [("p00".to_owned(), "late".to_owned(), "1-2".to_owned())];
    assert_eq!(ctl.running(), held);
    // The older number again ends nothing either.
    peer.status(number, &[], 1004).await;
    until_heard(&ctl, 1004);
    assert_eq!(ctl.running(), held, "the new lease stays");
}

fn until_heard(ctl: &Ctl, free_memory: i64) {
    until_true(10, "the status arrives", || {
        ctl.worker("late").is_some_and(|row| row["free_memory_bytes"] == free_memory)
    });
}

/// A machine that was cloned with its key: the second is refused and told why, the first builds on.
#[test]
fn of_two_machines_with_one_key_the_second_is_refused() {
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    let coordinator = harness.coordinator();
    let mut first = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    let ctl = harness.ctl();
    let key = harness.coordinator_key().public_key();
    harness.write_worker("clone", &format!("coordinator_key = \"{key}\"\n"));
    std::fs::copy(harness.join("w1/worker.key"), harness.join("clone/worker.key")).unwrap();
    let row = ctl.worker("w1").unwrap();

    let second = harness.worker("clone");
    let reason = "another process with this key is connected";
    second.until_said(20, 1, reason);
    // Again and again, for longer than the pause between two statuses of the first.
    coordinator.until_said(40, 3, reason);
    assert!(!second.said().contains("connected to"), "{}", second.said());
    let now = ctl.worker("w1").unwrap();
    assert_eq!((&now["address"], &now["id"]), (&row["address"], &row["id"]), "the same connection");
    assert_eq!(ctl.rows(&["worker", "ls"]).len(), 1);
    assert!(first.is_alive() && !first.said().contains("connection lost"), "{}", first.said());
    harness.go("all");
    harness.until_reproduced(20);
    harness.assert_built_once();
    assert_eq!(harness.begun("p00")[0].worker, "w1");
}
