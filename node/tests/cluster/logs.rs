use std::io::{BufRead as _, BufReader, Read as _};

use crate::archive::ARCHIVE;
use crate::ctl::Ctl;
use crate::harness::{Harness, HarnessSettings, names};

/// A log is followed from before its attempt begins to its end, which it says; after a push the new
/// attempt is followed, and not the old one shown.
#[test]
fn a_followed_log_grows_with_the_build_and_ends_with_it() {
    let harness =
        Harness::new(HarnessSettings { packages: names(2), ..HarnessSettings::default() });
    let _coordinator = harness.coordinator();
    harness.hook(
        "p00",
        "echo first\nuntil [ -e \"$folder/go/more\" ]; do sleep 0.05; done\necho second\n",
    );
    let ctl = harness.ctl();
    let mut follow = ctl.start(&["pkgs", "log", "--name", "p00", "--follow"]);
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap).unwrap_or_default();
    assert_eq!(next(), "");
    assert_eq!(next(), "rebuilder: waits for a worker; the log of the next attempt follows");
    let _worker = harness.joined_worker("w1");
    assert_eq!(next(), "building p00");
    assert_eq!(next(), "first");
    assert_eq!(ctl.verdicts(), [], "the build still runs");
    harness.go("more");
    assert_eq!(next(), "second");
    assert_eq!(ctl.verdicts(), [], "the build still runs");
    harness.go("p00");
    assert_eq!(next(), "");
    let end = next();
    assert!(end.starts_with("rebuilder: attempt ") && end.ends_with("-1 ended: 1 reproduced"));
    assert!(lines.next().is_none(), "nothing more, and the end");
    assert!(follow.wait().unwrap().success());
    assert_eq!(ctl.verdicts().len(), 1, "what a log says at its end is shown");
    let text = "building p00\nfirst\nsecond\n";
    assert_eq!(ctl.call(&["pkgs", "log", "--name", "p00"]).out, text);

    assert_eq!(ctl.call(&["queue", "push", "--name", "p00"]).code, 0);
    let again = ctl.call(&["pkgs", "log", "--name", "p00", "--follow"]);
    assert!(again.out.ends_with("-2 ended: 1 reproduced\n"), "{}", again.out);
    assert!(again.out.contains(text), "{}", again.out);
    // What is over ends at once, and says the same.
    let over = ctl.call(&["pkgs", "log", "--name", "p00", "--follow"]);
    assert!(over.out.starts_with(text) && over.out.ends_with("-2 ended: 1 reproduced\n"));

    let history = ctl.rows(&["pkgs", "show", "p00"]);
    let attempts: Vec<&str> = history.iter().map(|row| row["attempt"].as_str().unwrap()).collect();
    assert!(
        matches!(attempts[..], [second, first] if second.ends_with("-2") && first.ends_with("-1"))
    );
    assert!(history.iter().all(|row| row["outcome"] == "reproduced" && row["worker_name"] == "w1"));
    let shown = ctl.call(&["pkgs", "show", "p00"]);
    assert!(shown.out.contains("ATTEMPT") && shown.out.contains("1 reproduced"), "{}", shown.out);
    assert_files_are_verified(&ctl, &harness);
}

/// `verify` on a published file: as it is, with another byte, and of a coordinator that has another
/// key than expected.
fn assert_files_are_verified(ctl: &Ctl, harness: &Harness) {
    let file = ARCHIVE.published("p00");
    let right = ctl.call(&["verify", file.to_str().unwrap()]);
    assert_eq!(right.code, 0, "{right:?}");
    let status = ctl.ask(&["status"]);
    let key = status["key"].as_str().unwrap();
    for said in ["reproduced", "p00", "w1", key, "environment", "isolation"] {
        assert!(right.out.contains(said), "{said}: {}", right.out);
    }
    let checked = ctl.ask(&["verify", file.to_str().unwrap()]);
    assert_eq!(checked["verified"], true);
    assert!(checked["built_at"].is_string() && checked["worker_key"].is_string(), "{checked}");

    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let altered = harness.join("altered.deb");
    std::fs::write(&altered, bytes).unwrap();
    let wrong = ctl.call(&["verify", altered.to_str().unwrap()]);
    assert_eq!((wrong.code, wrong.out.as_str()), (5, ""), "{wrong:?}");
    assert!(wrong.err.contains("SHA-256"), "{wrong:?}");
    // p01 is built by nobody: nothing is attested of it.
    let open = ctl.call(&["verify", ARCHIVE.published("p01").to_str().unwrap()]);
    assert_eq!(open.code, 7, "{open:?}");

    let foreign = "ab".repeat(32);
    let refused = ctl.call(&["--coordinator", &foreign, "verify", file.to_str().unwrap()]);
    assert_eq!((refused.code, refused.out.as_str()), (3, ""), "{refused:?}");
}

/// A log over the limit keeps its front and its end, says so, and its digest is that of what is
/// kept.
#[test]
fn a_log_over_the_limit_is_cut_in_the_middle_and_accepted() {
    let tables = "[limits]\nlog_bytes_max = \"4 MiB\"\n";
    let harness = Harness::new(HarnessSettings { tables, ..HarnessSettings::default() });
    let _coordinator = harness.coordinator();
    harness.hook("p00", "seq -f 'line %08.0f' 1 800000\n");
    harness.go("all");
    let worker = harness.joined_worker("w1");
    harness.until_reproduced(60);
    worker.until_said(10, 1, "report of attempt 1-1 accepted");
    let mut child = harness.ctl().start(&["pkgs", "log", "--name", "p00"]);
    let mut log = String::new();
    child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(log.starts_with("building p00\nline 00000001\nline 00000002\n"), "{}", &log[..60]);
    assert!(log.ends_with("line 00799999\nline 00800000\n"), "{}", &log[log.len() - 60..]);
    let note = log.lines().find(|line| line.starts_with("rebuilder: ")).expect("a note");
    assert!(note.contains("are left out here: the limit of the log is 4194304 bytes"), "{note}");
    let over = log.len() - (4 << 20);
    assert!(over < 300, "{over} bytes more than the limit and its note");
}
