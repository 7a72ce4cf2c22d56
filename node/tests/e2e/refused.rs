//! Mirrors that cannot be trusted or reached.

use std::time::Duration;

use serde_json::Value;

use crate::archive::{Archive, architecture};
use crate::node::Node;
use crate::package::{Source, alter, binary};
use crate::tools;

/// An archive with one package, whose source was never built.
fn archive(folder: &std::path::Path) -> Archive {
    let archive = Archive::new(folder);
    binary(&archive.pool(), "lonely", "1.0", &architecture());
    Source::new("lonely", "echo lonely >$out/content").make(&archive.pool());
    archive.publish();
    archive
}

#[test]
fn an_index_that_does_not_fit_its_signature_is_refused() {
    tools::require();
    let folder = tools::folder();
    let archive = archive(folder.path());
    let node = Node::new(folder.path().join("node"));
    node.configure(&format!("[profile.\"own\"]\n{}", archive.profile("debian", "")));
    // The altered file and its digest in the index agree; the signature is of the index before.
    alter(&archive.pool().join(format!("lonely_1.0_{}.deb", architecture())));
    archive.index();
    let ended = node.until_idle(Duration::from_secs(60), || {});
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    assert!(ended.log.contains("profile own: "), "{}", ended.log);
    assert!(!ended.table.contains("lonely"), "{}", ended.table);
    let _serving = node.serve();
    assert_eq!(node.ctl_json(&["pkgs", "ls"]), Value::Array(Vec::new()));
}

#[test]
fn a_mirror_that_goes_down_gives_faults_and_no_verdict() {
    tools::require();
    let folder = tools::folder();
    let archive = archive(folder.path());
    archive.server.break_at(".buildinfo");
    let node = Node::new(folder.path().join("node"));
    node.configure(&format!("[profile.\"own\"]\n{}", archive.profile("debian", "")));
    let running = node.start("standalone", &[]);
    tools::wait_for("a fault", Duration::from_secs(120), || {
        let jobs = node.try_ctl(&["--json", "queue", "ls", "--planned"])?;
        let jobs: Value = serde_json::from_str(&jobs).map_err(|error| error.to_string())?;
        let is_tried = jobs[0]["attempts"].as_u64().is_some_and(|attempts| attempts > 0);
        let waits = jobs[0]["place"] == "delayed";
        if is_tried && waits { Ok(()) } else { Err(format!("{jobs}{}", running.log())) }
    });
    assert!(archive.server.is_down(), "{}", running.log());
    let row = node.package("lonely");
    assert_eq!(row["status"], "unknown", "{row:#}");
    assert_eq!(row["verdict"], Value::Null, "{row:#}");
    assert!(running.log().contains("fetch"), "the log tells of the fault: {}", running.log());
    let status = node.ctl_json(&["status"]);
    assert_eq!(status["jobs"]["decided"], 0, "{status:#}");
}
