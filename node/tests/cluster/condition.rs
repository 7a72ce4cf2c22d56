//! Workers that cannot build, and what they cannot remove: shown until it is mended.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ctl::Ctl;
use crate::harness::{Harness, HarnessSettings};
use crate::node::Node;
use crate::tools::until_true;

/// Troubles of a worker, as its row tells.
fn troubles(ctl: &Ctl, name: &str) -> Vec<(String, String)> {
    let row = ctl.worker(name).unwrap_or(Value::Null);
    let rows = row["troubles"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "kind"), text(row, "text"))).collect()
}

#[test]
fn a_worker_without_its_script_takes_no_work_until_it_is_there() {
    let harness = Harness::new(HarnessSettings::default());
    let coordinator = harness.coordinator();
    let ctl = harness.ctl();
    let script = harness.join("script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ill = harness.joined_worker("w1");
    ill.until_said(5, 1, "cannot build with `cluster`, takes no such jobs");
    coordinator.until_said(5, 1, "(w1) cannot build with `cluster` and gets no such jobs");
    let reason = "is not executable: chmod +x";
    until_true(5, "it is shown", || troubles(&ctl, "w1").iter().any(|t| t.1.contains(reason)));
    let status = ctl.call(&["status"]);
    assert!(status.out.starts_with("worker 1: cannot build with cluster: "), "{}", status.out);
    assert_eq!((ctl.running(), harness.begun("p00").len()), (vec![], 0));
    ill.stop();

    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _well = harness.joined_worker("w1");
    harness.go("all");
    harness.until_reproduced(20);
    assert_eq!(troubles(&ctl, "w1"), []);
}

/// A worker without the right to change attributes of files.
fn without_rights(harness: &Harness) -> Node {
    let words = ["setpriv", "--bounding-set", "-linux_immutable"];
    harness.worker_with("w1", words.map(str::to_owned).to_vec())
}

fn immutable(path: &Path, set: &str) -> bool {
    Command::new("chattr").arg(set).arg(path).status().is_ok_and(|status| status.success())
}

/// An earlier process' attempt left a file that this process may not remove.
#[test]
fn what_cannot_be_removed_is_shown_until_it_is_gone() {
    let harness = Harness::new(HarnessSettings::default());
    let _coordinator = harness.coordinator();
    let ctl = harness.ctl();
    let left = harness.join("w1/attempts/77-1");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("file"), "x").unwrap();
    if !immutable(&left, "+i") {
        eprintln!("skipped: this file system has no attributes of chattr(1)");
        return;
    }
    let worker = without_rights(&harness);
    until_true(20, "it is shown", || {
        let shown = troubles(&ctl, "w1");
        shown.iter().any(|(kind, text)| kind == "leftover" && text.contains("attempts/77-1"))
    });
    let listed = ctl.call(&["worker", "ls"]).out;
    assert!(listed.contains("worker 1: cannot be removed, tried again at"), "{listed}");
    // It works all the same.
    harness.go("all");
    harness.until_reproduced(20);
    worker.stop();
    assert!(troubles(&ctl, "w1").iter().any(|(kind, _)| kind == "leftover"), "it is still there");

    let _able = harness.joined_worker("w1");
    until_true(10, "it is gone", || troubles(&ctl, "w1").is_empty() && !left.exists());
}

/// One release of a profile cannot be read: the other one is, and it is said which and why.
#[test]
fn a_release_that_is_not_there_does_not_stop_the_others() {
    let harness = Harness::new(HarnessSettings::default());
    let config = harness.join("c.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let both = text.replace("releases = [\"test\"]", "releases = [\"gone\", \"test\"]");
    assert_ne!(text, both);
    std::fs::write(&config, both).unwrap();
    let coordinator = harness.coordinator();
    coordinator.until_said(5, 1, "release gone not read, the others were: ");
    let rows = harness.ctl().rows(&["profile", "ls"]);
    assert_eq!((&rows[0]["error"], &rows[0]["jobs"]), (&Value::Null, &1.into()));
    let trouble = &rows[0]["troubles"][0];
    assert_eq!((&trouble["kind"], &trouble["release"]), (&"release".into(), &"gone".into()));
    assert!(trouble["next_at"].is_string() && trouble["times"].is_number(), "{trouble}");
    let _worker = harness.joined_worker("w1");
    harness.go("all");
    harness.until_reproduced(20);
}
