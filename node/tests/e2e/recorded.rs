use std::time::Duration;

use crate::archive::architecture;
use crate::node::{Node, expect, sha256sum};
use crate::scene::{Scene, sections};

/// Of gate grade, and the table's claim checked by hand; also from an older dependency than that
/// of the suite, and of a binNMU.
pub fn reproduce(scene: &Scene) {
    let native = architecture();
    for (name, version) in [("tiny", "1.0"), ("tiny-plain", "1.0"), ("tiny-nmu", "1.0+b1")] {
        let row = scene.node.package(name);
        expect(&row, "reproduced", "signed/recorded/full", true);
        assert_eq!(row["version"], version);
        let first = scene.folder.path().join(format!("first/out/{name}_{version}_{native}.deb"));
        let digest = sha256sum(&first);
        assert_eq!(row["sha256"], digest, "what the index names");
        assert_eq!(row["rebuilt_sha256"], digest, "what was rebuilt");
    }
    let log = scene.node.ctl(&["pkgs", "log", "--name", "tiny"]);
    assert!(log.contains("downgrading tiny-dep from 2.0 to 1.0"), "{log}");
    let log = scene.node.ctl(&["pkgs", "log", "--name", "tiny-nmu"]);
    assert!(log.contains("put the entry of the binNMU on the changelog"), "{log}");
}

pub fn gone(scene: &Scene) {
    let row = scene.node.package("tiny-gone");
    assert_eq!(row["status"], "parked", "{row:#}");
    assert_eq!(row["fault"], "inputs-unavailable", "{row:#}");
    assert!(row["reason"].as_str().unwrap().contains("tiny-dep=0.5"), "{row:#}");
    assert_eq!(row["verdict"], serde_json::Value::Null, "{row:#}");
}

/// The same table, at once, without a build.
pub fn again(scene: &Scene) {
    let again = scene.node.until_idle(Duration::from_secs(60), || {});
    assert!(again.status.success(), "{}", again.log);
    assert_eq!(again.table, scene.ended.table);
    assert!(again.time < scene.ended.time / 4, "{:?} after {:?}", again.time, scene.ended.time);
    let jobs = |log: &str| log.lines().filter(|line| line.contains("tiny")).count();
    assert!(jobs(&scene.ended.log) > 0, "a first run logs its jobs: {}", scene.ended.log);
    assert_eq!(jobs(&again.log), 0, "{}", again.log);
}

/// Another node that does not look at signatures, with the same base root.
pub fn unsigned(scene: &Scene) {
    let node = Node::new(scene.folder.path().join("unsigned"));
    let more = "check_signature = false\npkgs = [\"tiny-plain\"]\n";
    node.configure(&sections(scene.folder.path(), &scene.archive, more));
    let ended = node.until_idle(Duration::from_secs(700), || {});
    assert!(ended.status.success(), "{}", ended.log);
    assert!(ended.log.contains("does not check signatures"), "a warning: {}", ended.log);
    let _serving = node.serve();
    expect(&node.package("tiny-plain"), "reproduced", "hash-only/recorded/full", false);
}

/// A run after the index has lost a package knows it no more. It also tries again what is parked
/// for want of inputs, on a new base root.
pub fn moved(scene: &Scene) {
    let script = "rm own/pool/tiny-random_*";
    crate::tools::run(&scene.archive.folder, &["sh", "-ec", script]);
    scene.archive.publish();
    let moved = scene.node.until_idle(Duration::from_secs(700), || {});
    assert!(moved.status.success(), "{}", moved.log);
    assert!(scene.ended.table.contains("tiny-random"), "{}", scene.ended.table);
    assert!(!moved.table.contains("tiny-random"), "{}", moved.table);
    assert!(moved.table.contains("tiny-altered"), "{}", moved.table);
}
