use std::time::Duration;

use crate::archive::architecture;
use crate::hidden::MARK;
use crate::node::{Node, expect, sha256sum};
use crate::package::{Source, alter};
use crate::scene::{Scene, sections};

/// A package whose build leaves a process behind.
pub fn source() -> Source {
    let mut source = Source::new("tiny-altered", "echo altered >$out/content");
    source.rules.push_str(&format!(
        "\noverride_dh_auto_build:\n\tsetsid {MARK} >/dev/null 2>&1 </dev/null &\n\tsleep 1\n"
    ));
    source
}

/// The published file was altered by one byte before the index was made and signed.
pub fn differs(scene: &Scene) {
    let row = scene.node.package("tiny-altered");
    expect(&row, "differs", "signed/recorded/full", true);
    let file = format!("tiny-altered_1.0_{}.deb", architecture());
    assert_eq!(row["sha256"], sha256sum(&scene.archive.pool().join(&file)));
    let first = scene.folder.path().join("first/out").join(&file);
    assert_eq!(row["rebuilt_sha256"], sha256sum(&first), "the rebuilt file is the unaltered one");
}

pub fn difference(scene: &Scene) {
    assert_eq!(scene.node.package("tiny-altered")["has_difference"], true);
    let text = scene.node.ctl(&["pkgs", "diffoscope", "--name", "tiny-altered"]);
    assert!(text.contains(&format!("tiny-altered_1.0_{}.deb", architecture())), "{text}");
    let has = |sign: char| text.lines().any(|line| line.starts_with(['│']) && line.contains(sign));
    assert!(text.contains("debian-binary") && has('-') && has('+'), "{text}");
}

/// The published file was altered after the index was signed, and the rebuild is not what the
/// index names: the mirror's file is no evidence about the package.
pub fn behind_the_index(scene: &Scene) {
    let row = scene.node.package("tiny-random");
    assert_eq!(row["status"], "parked", "{row:#}");
    assert_eq!(row["fault"], "inputs-unavailable", "{row:#}");
    let file = format!("tiny-random_1.0_{}.deb", architecture());
    assert!(row["reason"].as_str().unwrap().contains(&file), "{row:#}");
    assert_eq!(row["verdict"], serde_json::Value::Null, "{row:#}");
}

/// The published file was altered after the index was signed, and the rebuild is what the index
/// names: a profile can want to know. Another node, with the same base root.
pub fn looked_for(scene: &Scene) {
    let file = format!("tiny-plain_1.0_{}.deb", architecture());
    let published = scene.archive.pool().join(&file);
    alter(&published);
    let node = Node::new(scene.folder.path().join("careful"));
    let more = "check_published = true\npkgs = [\"tiny-plain\", \"tiny-nmu\"]\n";
    node.configure(&sections(scene.folder.path(), &scene.archive, more));
    let ended = node.until_idle(Duration::from_secs(700), || {});
    std::fs::copy(scene.folder.path().join("first/out").join(&file), &published).unwrap();
    assert!(ended.status.success(), "{}", ended.log);
    let _serving = node.serve();
    expect(&node.package("tiny-nmu"), "reproduced", "signed/recorded/full", true);
    let row = node.package("tiny-plain");
    assert_eq!(row["status"], "parked", "{row:#}");
    assert_eq!(row["fault"], "inputs-unavailable", "{row:#}");
    assert!(row["reason"].as_str().unwrap().contains(&file), "{row:#}");
    assert_eq!(row["verdict"], serde_json::Value::Null, "{row:#}");
}

pub fn broken(scene: &Scene) {
    let row = scene.node.package("tiny-broken");
    expect(&row, "build-failed", "signed/recorded/full", true);
    assert!(row["reason"].as_str().unwrap().contains("dpkg-buildpackage"), "{row:#}");
    let log = scene.node.ctl(&["pkgs", "log", "--name", "tiny-broken"]);
    assert!(log.contains("test -e /srv/lucky"), "{log}");
}
