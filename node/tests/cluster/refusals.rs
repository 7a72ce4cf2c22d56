use serde_json::Value;

use crate::ctl::Ctl;
use crate::harness::{Harness, HarnessSettings, names, stranger_key};
use crate::tools::{is_run, node_program, until_true, utc_ms};

/// What a refused worker exits with, as documented.
const REFUSED: i32 = 77;
const SECRET: &str = "correct horse battery staple";
const SECRET_LINE: &str = "signup_secret = \"correct horse battery staple\"";

/// Who may not in is told why, on both sides, and leaves no trace; the same with what is right gets
/// in.
#[test]
fn workers_without_the_right_to_work_are_refused() {
    let settings =
        HarnessSettings { coordinator: SECRET_LINE, listed: &["w1"], ..HarnessSettings::default() };
    let harness = Harness::new(settings);
    let coordinator = harness.coordinator();
    let before = state(&harness.ctl());
    let pin = format!("coordinator_key = \"{}\"\n", harness.coordinator_key().public_key());
    let other = harness.key("other").public_key();
    let not_enrolled = format!("the key {} is not enrolled", harness.key("x3").public_key());
    let other_here = "another coordinator answers here";
    for (name, enrolment, worker_says, coordinator_says, ends) in [
        // Listed, but it expects another coordinator.
        (
            "w1",
            format!("coordinator_key = \"{other}\"\n"),
            other_here,
            "connection attempt failed",
            None,
        ),
        (
            "x2",
            format!("signup_secret = \"{SECRET}!\"\n"),
            "the signup secret is wrong",
            "refused: the signup secret is wrong",
            Some(REFUSED),
        ),
        ("x3", pin, not_enrolled.as_str(), not_enrolled.as_str(), Some(REFUSED)),
    ] {
        harness.write_worker(name, &enrolment);
        let mut worker = harness.worker(name);
        worker.until_said(20, 1, worker_says);
        coordinator.until_said(20, 1, coordinator_says);
        match ends {
            Some(code) => assert_eq!(worker.until_ended(10), code, "{}", worker.said()),
            None => assert!(worker.is_alive(), "it tries again, as somebody may mend it"),
        }
        assert!(!worker.said().contains("connected to"), "{}", worker.said());
        assert_eq!(state(&harness.ctl()), before, "{name} changed something");
    }

    harness.write_worker("x4", &format!("signup_secret = \"{SECRET}\"\n"));
    let worker = harness.joined_worker("x4");
    harness.until_begun(20, "p00", 0);
    let pinned = std::fs::read_to_string(harness.join("x4/coordinator.pub")).unwrap();
    assert_eq!(pinned.trim(), harness.coordinator_key().public_key().to_string(), "pinned");
    let said = coordinator.said() + &worker.said();
    assert!(!said.contains(SECRET), "the secret is in no log");
}

/// An invitation lets one key in, once; one that expired lets none in.
#[test]
fn an_invitation_works_once_and_for_its_time() {
    let harness = Harness::new(HarnessSettings { listed: &[], ..HarnessSettings::default() });
    let coordinator = harness.coordinator();
    let ctl = harness.ctl();
    let invite = |ttl: &str| {
        let row = ctl.ask(&["worker", "invite", "--ttl", ttl]);
        (row["token"].as_str().unwrap().to_owned(), utc_ms())
    };
    let (token, _) = invite("1h");
    let (short, made_at) = invite("1s");
    harness.write_worker("x1", &format!("invitation = \"{token}\"\n"));
    let first = harness.joined_worker("x1");
    harness.until_begun(20, "p00", 0);

    until_true(10, "the second invitation is over", || utc_ms() > made_at + 1100);
    let reason = "the invitation is unknown here, used, or expired";
    for (count, (name, token)) in [("x2", &token), ("x3", &short)].into_iter().enumerate() {
        let before = state(&ctl);
        harness.write_worker(name, &format!("invitation = \"{token}\"\n"));
        let mut worker = harness.worker(name);
        worker.until_said(20, 1, reason);
        assert_eq!(worker.until_ended(10), REFUSED);
        coordinator.until_said(20, count + 1, reason);
        assert!(!worker.said().contains("connected to"), "{}", worker.said());
        assert_eq!(state(&ctl), before, "{name} changed something");
    }

    // The key that used it comes back with the same configuration.
    first.stop();
    until_true(10, "x1 is gone", || !ctl.is_connected("x1"));
    let _again = harness.joined_worker("x1");
}

/// A worker whose rights are taken is put out at once: its builds end, then its process, with a
/// code that says so. It stays out, and its job goes elsewhere.
#[test]
fn a_revoked_worker_ends_and_its_job_goes_elsewhere() {
    let harness = Harness::new(HarnessSettings::default());
    let coordinator = harness.coordinator();
    let mut revoked = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    let script = harness.join("script");
    assert!(is_run(&script), "it would go on for ever");
    let ctl = harness.ctl();
    let id = ctl.worker("w1").unwrap()["id"].as_i64().unwrap();
    let done = ctl.ask(&["worker", "revoke", "w1"]);
    assert_eq!(done["affected"], 1, "{done}");
    assert_eq!(revoked.until_ended(10), REFUSED, "{}", revoked.said());
    assert!(revoked.said().contains("an operator revoked this key"), "{}", revoked.said());
    until_true(2, "its build ends with it", || !is_run(&script));
    coordinator.until_said(10, 1, "its worker was revoked");
    let _other = harness.joined_worker("w2");
    assert_eq!(harness.until_begun(10, "p00", 1).worker, "w2", "at once");

    // Whoever starts it again learns why it does not stay.
    let mut again = harness.worker("w1");
    assert_eq!(again.until_ended(20), REFUSED, "{}", again.said());
    assert!(again.said().contains("the rights of this key were revoked"), "{}", again.said());
    assert!(!ctl.is_connected("w1"));
    assert_eq!(ctl.verdicts(), []);
    harness.go("all");
    harness.until_reproduced(20);
    assert_ne!(ctl.verdicts()[0].worker, id);
    assert_eq!(ctl.verdicts()[0].build, 1);
}

/// What a worker has signed stays on its disk when it is refused: the key may get its rights back.
#[test]
fn a_refused_worker_keeps_its_reports() {
    let harness = Harness::new(HarnessSettings { listed: &["w1"], ..HarnessSettings::default() });
    let coordinator = harness.coordinator();
    let mut worker = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    coordinator.stop();
    harness.go("all");
    until_true(20, "its report waits", || harness.spooled("w1") == 1);

    // The line that lists it is gone for a while.
    let config = harness.join("c.toml");
    let listed = std::fs::read_to_string(&config).unwrap();
    let key = format!("{:?}", harness.key("w1").public_key().to_string());
    std::fs::write(&config, listed.replace(&key, "")).unwrap();
    let coordinator = harness.coordinator();
    assert_eq!(worker.until_ended(40), REFUSED, "{}", worker.said());
    assert_eq!(harness.spooled("w1"), 1);
    coordinator.stop();

    std::fs::write(&config, listed).unwrap();
    let _coordinator = harness.coordinator();
    let _worker = harness.joined_worker("w1");
    harness.until_reproduced(20);
    harness.assert_built_once();
    harness.until_spools_empty(&["w1"]);
}

/// Everybody may read; only the admin key may write.
#[test]
fn a_ctl_without_rights_may_only_read() {
    let harness =
        Harness::new(HarnessSettings { packages: names(2), ..HarnessSettings::default() });
    let coordinator = harness.coordinator();
    let admin = harness.ctl();
    let stranger = Ctl { key: stranger_key(&harness.join("")), ..harness.ctl() };
    assert_eq!(stranger.rows(&["pkgs", "ls"]).len(), 2);
    assert_eq!(stranger.ask(&["status"])["jobs"]["ready"], 2);
    let before = state(&admin);
    for order in [
        ["queue", "push", "--all"].as_slice(),
        &["queue", "drop", "--all"],
        &["worker", "invite"],
        &["worker", "revoke", "w1"],
        &["sync", "run", "cluster"],
    ] {
        let answer = stranger.call(order);
        assert_eq!(answer.code, 4, "{order:?}: {answer:?}");
        assert!(answer.err.contains("this key may only read"), "{answer:?}");
        assert_eq!(answer.out, "");
        assert_eq!(state(&admin), before, "{order:?} changed something");
    }
    coordinator.until_said(10, 1, "may only read");
    let answer = admin.call(&["queue", "drop", "--name", "p00"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(admin.ask(&["status"])["jobs"]["dropped"], 1);
}

/// All that an order or a worker could change, without what time changes.
pub fn state(ctl: &Ctl) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let mut workers = ctl.rows(&["worker", "ls"]);
    for row in &mut workers {
        for field in ["last_seen", "free_memory_bytes", "free_disk_bytes"] {
            row[field] = Value::Null;
        }
    }
    (ctl.rows(&["pkgs", "ls"]), ctl.rows(&["queue", "ls", "--planned"]), workers)
}

/// Typed to see what it does, a node says how it is started, and starts nothing.
#[test]
fn a_node_that_was_told_nothing_starts_nothing() {
    if std::path::Path::new(rebuilder_node::config::DEFAULT_PATH).exists() {
        return;
    }
    let output = std::process::Command::new(node_program()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in ["--role", "/etc/rebuilder/node.toml", "Usage: rebuilder-node", "--help"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
