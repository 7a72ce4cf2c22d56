//! A backend of the operator's own.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::archive::{Archive, architecture};
use crate::node::{Node, expect};
use crate::package::{Source, binary};
use crate::tools;

/// By the name of its input: the right file, other bytes, nothing, the right file and a failure.
const SCRIPT: &str = r#"#!/bin/sh
name=$(sed -n 's/^Source: //p' "$1")
[ -n "$name" ] && [ $# -eq 1 ] || exit 9
echo "the script rebuilds $name"
file=$(ls POOL | grep "^${name}_.*deb$")
case $name in
  same) cp "POOL/$file" "$REBUILDERD_OUTDIR/" ;;
  other) echo other >"$REBUILDERD_OUTDIR/$file" ;;
  absent) ;;
  failing) cp "POOL/$file" "$REBUILDERD_OUTDIR/"; exit 3 ;;
esac
"#;

#[test]
fn a_script_backend_says_what_it_is() {
    tools::require();
    let folder = tools::folder();
    let archive = Archive::new(folder.path());
    for name in ["same", "other", "absent", "failing"] {
        binary(&archive.pool(), name, "1.0", &architecture());
        Source::new(name, "true").make(&archive.pool());
        let file = format!("buildinfos/{name}_1.0_{}.buildinfo", architecture());
        std::fs::write(archive.folder.join(file), format!("Source: {name}\n")).unwrap();
    }
    archive.publish();
    let program = folder.path().join("rebuild");
    let script = SCRIPT.replace("POOL", archive.pool().to_str().unwrap());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let node = Node::new(folder.path().join("node"));
    node.configure(&format!(
        "[debian]\nenabled = false\n[backend.\"scripted\"]\npath = \"{}\"\n[profile.\"own\"]\n{}",
        program.display(),
        archive.profile("scripted", ""),
    ));
    let ended = node.until_idle(Duration::from_secs(120), || {});
    println!("{}", ended.table);
    assert!(ended.status.success(), "{}", ended.log);
    let _serving = node.serve();
    for (name, status) in [
        ("same", "reproduced"),
        ("other", "differs"),
        ("absent", "missing"),
        ("failing", "build-failed"),
    ] {
        expect(&node.package(name), status, "signed/opaque/script", false);
    }
    let reason = node.package("failing")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("exit status 3"), "{reason}");
    let log = node.ctl(&["pkgs", "log", "--name", "same"]);
    assert!(log.contains("the script rebuilds same"), "{log}");
}
