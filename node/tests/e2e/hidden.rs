//! A package whose build looks for everything that it must not see.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::archive::{Archive, architecture};
use crate::node::Node;
use crate::package::Source;
use crate::scene::Scene;

/// A process that outlives its build.
pub const MARK: &str = "sleep 86421";

/// Looks for each line of `targets`: kind, name, what.
const LOOK: &str = include_str!("look.pl");

pub fn source(folder: &Path, archive: &Archive, node: &Node) -> Source {
    let mut source = Source::new("tiny-spy", "echo spy >$out/content");
    source.rules.push_str("\noverride_dh_auto_build:\n\tperl look.pl targets\n");
    let targets = targets(folder, archive, node, "inside", Path::new("/"));
    source.files = vec![("look.pl", LOOK.to_owned()), ("targets", targets)];
    source
}

fn targets(folder: &Path, archive: &Archive, node: &Node, who: &str, root: &Path) -> String {
    let deb = format!("tiny-spy_1.0_{}.deb", architecture());
    let published = archive.pool().join(&deb).display().to_string();
    let key = node.work_dir().join("worker.key").display().to_string();
    let admin = node.data_dir().join("ctl.key").display().to_string();
    let (http, root) = (archive.server.address, root.display());
    let text = format!(
        "read published {published}\nread worker-key {key}\nread admin-key {admin}\n\
         read worker-key-by-proc /proc/1/root{key}\ndir folder {}\n\
         find published-anywhere {root} {deb}\nfind worker-key-anywhere {root} worker.key\n\
         environment secret {}\nhttp archive {http} /own/pool/{deb}?{who}\n\
         udp coordinator {}\nroute network 192.0.2.1:9\n",
        folder.display(),
        node.secret,
        node.address,
    );
    // The secret as it stands must not be in what it is looked for in.
    text.replace(&node.secret, &node.secret.replace('-', "/"))
}

/// The same look on the host while the node runs, which sees everything: the test can fail.
pub fn look_from_host(folder: &Path, node: &Node) -> String {
    let list = std::fs::read_to_string(folder.join("targets")).unwrap_or_default();
    assert!(!list.is_empty(), "written before the node was started");
    let look = folder.join("look.pl");
    std::fs::write(&look, LOOK).unwrap();
    let output = Command::new("timeout")
        .args(["30", "perl"])
        .arg(&look)
        .arg(folder.join("targets"))
        .env("SECRET", &node.secret)
        .output()
        .expect("timeout runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Writes the targets of the look from the host.
pub fn prepare_host(folder: &Path, archive: &Archive, node: &Node) {
    let text = targets(folder, archive, node, "from-host", folder);
    std::fs::write(folder.join("targets"), text).unwrap();
}

/// Whether a look from outside saw all that is there to be seen.
pub fn is_everything(printed: &str) -> bool {
    let seen = results(printed);
    ATTEMPTS.iter().all(|(name, outside)| {
        !outside || seen.get(*name).is_some_and(|result| result == "REACHED")
    })
}

pub fn sees_nothing(scene: &Scene) {
    let seen = &scene.seen_on_host;
    assert!(is_everything(seen), "from the host: {seen}");
    let first = results(&scene.reference_log);
    assert_eq!(first["archive"], "REACHED", "the first build had a network: {first:?}");
    let log = scene.node.ctl(&["pkgs", "log", "--name", "tiny-spy"]);
    let found = results(&log);
    for (name, _) in ATTEMPTS {
        let result = found.get(name).unwrap_or_else(|| panic!("{name} was not tried: {log}"));
        assert!(result.starts_with("failed: "), "{name}: {result}");
    }
    assert_eq!(found.len(), ATTEMPTS.len(), "{found:?}");
    assert!(!log.contains(&scene.node.secret), "{log}");
    let row = scene.node.package("tiny-spy");
    crate::node::expect(&row, "reproduced", "signed/recorded/full", true);
    // It reproduces, so that nobody ever asked for the published file, least of all the build.
    let asked = scene.archive.server.requests("/tiny-spy_1.0_");
    let by_node: Vec<_> = asked
        .iter()
        .filter(|request| request.path.contains(".deb") && !request.path.contains("?from-host"))
        .collect();
    assert!(by_node.is_empty(), "{by_node:?}");
    assert!(asked.len() > by_node.len(), "the server remembers requests");
}

/// A file that differs is fetched, but only when every process of the build is gone, that one
/// included which left its session.
pub fn fetched_late(scene: &Scene) {
    assert!(scene.was_marked, "the process that outlives its build was never seen");
    let asked = scene.archive.server.requests("/own/pool/tiny-altered_1.0");
    let fetched: Vec<_> = asked.iter().filter(|r| r.path.ends_with(".deb")).collect();
    assert!(!fetched.is_empty(), "it differs, so it is fetched: {asked:?}");
    assert!(fetched.iter().all(|request| request.marked == 0), "{fetched:?}");
    let earlier = asked.iter().any(|request| request.path.ends_with(".dsc"));
    assert!(earlier, "{asked:?}");
    assert_eq!(crate::tools::processes_with(MARK), 0, "nothing of the build is left");
}

/// Lines `SPY NAME RESULT`, the last of each name.
fn results(log: &str) -> BTreeMap<String, String> {
    log.lines()
        .filter_map(|line| line.trim().strip_prefix("SPY "))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, result)| (name.to_owned(), result.to_owned()))
        .collect()
}

/// What is tried, and whether the same must succeed on the host.
const ATTEMPTS: [(&str, bool); 11] = [
    ("published", true),
    ("worker-key", true),
    ("admin-key", true),
    ("worker-key-by-proc", false),
    ("folder", true),
    ("published-anywhere", true),
    ("worker-key-anywhere", true),
    ("secret", true),
    ("archive", true),
    ("coordinator", true),
    ("network", false),
];
