//! The root in which packages are built the first time: made with mmdebstrap from this machine's
//! mirror, without any help of what is tested, with the `.deb`s of everything that is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{now, run};

/// A root file system and the packages that it is made of.
pub struct Reference {
    root: PathBuf,
    pub pool: PathBuf,
}

/// The suites of this machine's apt that are Debian's: URL, codename, component.
pub fn suites() -> Vec<(String, String, String)> {
    let format = "$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(CREATED_BY)|$(ORIGIN)";
    let printed = run(Path::new("/"), &["apt-get", "indextargets", "--format", format]);
    let mut all = Vec::new();
    for line in printed.lines() {
        let words: Vec<&str> = line.split('|').collect();
        let [url, codename, component, "Packages", "Debian"] = words[..] else { continue };
        let url = url.trim_end_matches('/').to_owned();
        let suite = (url, codename.to_owned(), component.to_owned());
        if !all.contains(&suite) {
            all.push(suite);
        }
    }
    assert!(!all.is_empty(), "no Debian mirror is configured: run apt-get update");
    // The release itself before its updates.
    all.sort_by_key(|(_, codename, _)| codename.len());
    all
}

impl Reference {
    /// That of an earlier run, or a new one.
    pub fn new() -> Self {
        let home = std::env::var_os("REBUILDER_TEST_CACHE")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let kept = home.join("e2e-reference");
        if !kept.exists() {
            std::fs::create_dir_all(&home).unwrap();
            let making = home.join(format!("e2e-reference.{}", std::process::id()));
            std::fs::create_dir_all(&making).unwrap();
            make(&making);
            std::fs::rename(&making, &kept).unwrap();
        }
        Self { root: kept.join("root"), pool: kept.join("pool") }
    }

    /// Runs `script` as root in a layer over the root, with `folder` as `/srv`, in process and
    /// mount namespaces of its own but with the host's network; what it printed.
    pub fn run(&self, folder: &Path, script: &str) -> String {
        let layer = crate::tools::folder();
        for part in ["upper", "work", "merged"] {
            std::fs::create_dir(layer.path().join(part)).unwrap();
        }
        let enter = "cd \"$1\" && mount -t overlay overlay \
             -o lowerdir=\"$2\",upperdir=upper,workdir=work merged && \
             mount --bind \"$3\" merged/srv && mount -t proc proc merged/proc && \
             exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LC_ALL=C.UTF-8 \
             DEBIAN_FRONTEND=noninteractive DEB_BUILD_OPTIONS=parallel=2 \
             chroot merged sh -ec \"$4\" 2>&1";
        let output = Command::new("timeout")
            .args(["700", "unshare", "--mount", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-ec", enter, "sh"])
            .args([layer.path(), &self.root, folder])
            .arg(script)
            .output()
            .expect("timeout runs");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "in the reference root: {printed}{complaints}");
        printed
    }
}

fn make(making: &Path) {
    let began = now();
    let (root, pool) = (making.join("root"), making.join("pool"));
    let lines: Vec<String> = suites()
        .iter()
        .map(|(url, suite, component)| format!("deb {url} {suite} {component}\n"))
        .collect();
    std::fs::write(making.join("sources.list"), lines.concat()).unwrap();
    let command = [
        "timeout",
        "1200",
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=buildd",
        "--include=debhelper",
        "--aptopt=APT::Install-Recommends \"false\"",
        "--dpkgopt=force-unsafe-io",
        // What is installed first would be deleted at once.
        "--skip=cleanup/apt,essential/unlink",
        "--format=directory",
        &suites()[0].1,
        root.to_str().unwrap(),
        "sources.list",
    ];
    // A mirror that is just being renewed fails once.
    let twice = "\"$@\" || { rm -rf \"$0\"; sleep 20; \"$@\"; }";
    run(making, &[&["sh", "-ec", twice, root.to_str().unwrap()][..], &command].concat());
    std::fs::create_dir(&pool).unwrap();
    let script = "mv \"$1\"/var/cache/apt/archives/*.deb \"$2\" && \
                  rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/etc/resolv.conf";
    run(making, &["sh", "-ec", script, "sh", root.to_str().unwrap(), pool.to_str().unwrap()]);
    let installed = run(making, &["dpkg-query", "--root", root.to_str().unwrap(), "-W"]);
    let packages = std::fs::read_dir(&pool).unwrap().count();
    assert_eq!(installed.lines().count(), packages, "every package of the root is in the pool");
    println!("made the reference root in {:.1} s", began.elapsed().as_secs_f32());
}
