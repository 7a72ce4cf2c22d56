use std::io::{BufRead as _, BufReader, Read as _};

use crate::harness::{Harness, HarnessSettings, names};
use crate::tools::until_true;

/// Lines arrive while the build runs, and the answer ends with it.
#[test]
fn a_followed_log_grows_with_the_build_and_ends_with_it() {
    let harness =
        Harness::new(HarnessSettings { packages: names(2), ..HarnessSettings::default() });
    let _coordinator = harness.coordinator();
    harness.hook(
        "p00",
        "echo first\nuntil [ -e \"$folder/go/more\" ]; do sleep 0.05; done\necho second\n",
    );
    let _worker = harness.joined_worker("w1");
    harness.until_begun(20, "p00", 0);
    let ctl = harness.ctl();
    let mut follow = ctl.start(&["pkgs", "log", "--name", "p00", "--follow"]);
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap);
    assert_eq!(next().as_deref(), Some("building p00"));
    assert_eq!(next().as_deref(), Some("first"));
    assert_eq!(ctl.verdicts(), [], "the build still runs");
    harness.go("more");
    assert_eq!(next().as_deref(), Some("second"));
    assert_eq!(ctl.verdicts(), [], "the build still runs");
    harness.go("p00");
    assert_eq!(next(), None, "nothing more, and the end");
    assert!(follow.wait().unwrap().success());
    until_true(10, "the verdict follows", || ctl.verdicts().len() == 1);
    let whole = ctl.call(&["pkgs", "log", "--name", "p00"]);
    assert_eq!(whole.out, "building p00\nfirst\nsecond\n");
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
