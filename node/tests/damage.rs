//! Damage of every file of a data directory and a work directory: a flipped bit, a file that is
//! cut, a page of zeros, a file that is gone or is an older copy. Each is either harmless, with all
//! 200 verdicts and logs there, or refused with the name of the file. None is silent.
//!
//! `DAMAGE_ENGINE` says whose files (of one engine; of each, if unset), `DAMAGE_FLIPS`,
//! `DAMAGE_CUTS` and `DAMAGE_OTHERS` how many of each (a few, if unset; `make test-damage`: 1,000,
//! 500 and 200), `DAMAGE_SEED` which.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rebuilder_actors::port::{Batch, StoreOwner};
use rebuilder_actors::protocol::stored::{Record, ReportRecord};
use rebuilder_actors::protocol::{Sha256, SignedReport};
use rebuilder_node::data_dir::DataDir;
use rebuilder_node::store::{Engine, StoreOptions};

const PACKAGES: usize = 200;
/// Of so many trials one starts the real node too, besides the check.
const STARTED_OF: usize = 25;
const NODE: &str = env!("CARGO_BIN_EXE_rebuilder-node");

/// The folder of one node, with a coordinator's data in `c` and a worker's in `w`.
struct Harness {
    top: tempfile::TempDir,
    engine: Engine,
}

impl Harness {
    fn new(engine: Engine) -> Self {
        let harness = Self { top: tempfile::tempdir().unwrap(), engine };
        harness.make_archive();
        let script = format!(
            "#!/bin/sh\nset -e\nf=${{1##*/}}; n=${{f%%_*}}; echo \"building $n\"\n\
             echo $n >>{0}/built\ncp {0}/rel/pool/${{n}}_1.0_amd64.deb \"$REBUILDERD_OUTDIR/\"\n",
            harness.path("").display()
        );
        fs::write(harness.path("script"), script).unwrap();
        fs::set_permissions(harness.path("script"), fs::Permissions::from_mode(0o755)).unwrap();
        harness
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn make_archive(&self) {
        let index = self.path("rel/dists/rel/main/binary-amd64");
        for folder in [&index, &self.path("rel/pool"), &self.path("rel/buildinfos")] {
            fs::create_dir_all(folder).unwrap();
        }
        let mut packages = String::new();
        for name in (0..PACKAGES).map(|n| format!("r{n:03}")) {
            let file = format!("pool/{name}_1.0_amd64.deb");
            let content = name.repeat(50);
            fs::write(self.path("rel").join(&file), &content).unwrap();
            let info = self.path("rel/buildinfos").join(format!("{name}_1.0_amd64.buildinfo"));
            fs::write(info, format!("Source: {name}\n")).unwrap();
            writeln!(
                packages,
                "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nFilename: {file}\n\
                 Size: {}\nSHA256: {}\n",
                content.len(),
                Sha256::of(content.as_bytes())
            )
            .unwrap();
        }
        fs::write(index.join("Packages"), &packages).unwrap();
        let release = format!(
            "Suite: rel\nCodename: rel\nDate: Fri, 01 Mar 2024 10:00:00 +0000\n\
             Architectures: amd64\nComponents: main\nSHA256:\n {} {} \
             main/binary-amd64/Packages\n",
            Sha256::of(packages.as_bytes()),
            packages.len()
        );
        fs::write(self.path("rel/dists/rel/InRelease"), release).unwrap();
    }

    /// The configuration of a node on the data of `folder`.
    fn config(&self, folder: &Path) -> PathBuf {
        let path = folder.join("node.toml");
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "[coordinator]\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {:?}\nstore = \"{}\"\n\
             [profile.\"rel\"]\n\
             distribution = \"cluster\"\nindex = \"debian\"\nsource = {:?}\nreleases = [\"rel\"]\n\
             components = [\"main\"]\narchitectures = [\"amd64\"]\ncheck_signature = false\n\
             buildinfos = \"{}/{{file}}\"\n[worker]\nwork_dir = {:?}\nslots = 2\n\
             architectures = [\"*\"]\n[debian]\nenabled = false\n[diffoscope]\n\
             enabled = false\n[backend.\"cluster\"]\npath = {:?}\n",
            folder.join("c"),
            self.engine.name(),
            self.path("rel"),
            self.path("rel/buildinfos").display(),
            folder.join("w"),
            self.path("script"),
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs the real node on the data of `folder` until it is idle.
    fn run(&self, folder: &Path) -> Output {
        let config = self.config(folder);
        let mut command = Command::new(NODE);
        command.args(["--role", "standalone", "--until-idle", "--config"]).arg(config);
        command.output().unwrap()
    }

    fn built(&self) -> usize {
        fs::read_to_string(self.path("built")).unwrap().lines().count()
    }
}

/// All files below `folder`, without locks and configuration, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_none_or(|name| name != "node.toml" && name != "lock") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// Numbers that follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end.max(1) as u64).unwrap()
    }

    /// A file: every second time any, else one by its bytes.
    fn file<'a>(&mut self, files: &'a [PathBuf]) -> &'a Path {
        if self.below(2) == 0 {
            return &files[self.below(files.len())];
        }
        let size = |path: &PathBuf| usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
        let mut at = self.below(files.iter().map(size).sum());
        let hit = files.iter().find(|path| {
            let inside = at < size(path);
            at = at.saturating_sub(size(path));
            inside
        });
        hit.unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip,
    Cut,
    TwoFlips,
    Zeros,
    Gone,
    Older,
}

/// Harms a file below `folder`; says how. `older`: the same folder at an earlier time.
fn harm(folder: &Path, older: &Path, harm: Harm, random: &mut Numbers) -> String {
    let files = files(folder);
    let path = random.file(&files).to_owned();
    let mut bytes = fs::read(&path).unwrap();
    let flip = |bytes: &mut Vec<u8>, random: &mut Numbers| {
        if !bytes.is_empty() {
            let bit = random.below(8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    };
    match harm {
        Harm::Flip => flip(&mut bytes, random),
        Harm::TwoFlips => {
            flip(&mut bytes, random);
            let other = random.file(&files).to_owned();
            if other != path {
                let mut bytes = fs::read(&other).unwrap();
                flip(&mut bytes, random);
                fs::write(&other, bytes).unwrap();
            }
        }
        Harm::Cut => bytes.truncate(random.below(bytes.len())),
        Harm::Zeros => {
            let page = random.below(bytes.len().div_ceil(4096)) * 4096;
            let end = bytes.len().min(page + 4096);
            bytes[page..end].fill(0);
        }
        Harm::Gone => {
            fs::remove_file(&path).unwrap();
            return format!("{harm:?} {}", path.display());
        }
        Harm::Older => match fs::read(older.join(path.strip_prefix(folder).unwrap())) {
            Ok(before) => bytes = before,
            Err(_) => bytes.clear(),
        },
    }
    fs::write(&path, bytes).unwrap();
    format!("{harm:?} {}", path.display())
}

/// Runs the check of the program: its exit code and what it said.
fn checked(folder: &Path) -> (Option<i32>, String) {
    let (mut code, mut said) = (Some(0), String::new());
    for name in ["c", "w"] {
        let output = Command::new(NODE)
            .args(["check", "--data-dir"])
            .arg(folder.join(name))
            .output()
            .unwrap();
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        code = if code == Some(0) { output.status.code() } else { code };
    }
    (code, said)
}

fn is_whole(said: &str) -> bool {
    said.contains(&format!("{PACKAGES} accepted reports with {PACKAGES} verdicts"))
        && said.contains(&format!("{PACKAGES} logs and differences are whole"))
}

/// What became of one trial: "harmless", "refused", or what is wrong with it.
fn outcome(harness: &Harness, folder: &Path, start: bool) -> Result<&'static str, String> {
    let (code, said) = checked(folder);
    let named = said.contains(&folder.display().to_string());
    let outcome = match code {
        Some(0) if is_whole(&said) => "harmless",
        Some(65 | 1) if named => "refused",
        _ => return Err(format!("check ended with {code:?} and said\n{said}")),
    };
    if start {
        let before = harness.built();
        let output = harness.run(folder);
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        let all = out.contains(&format!("{PACKAGES} reproduced")) && harness.built() == before;
        let named = err.contains(&folder.display().to_string());
        // A damaged log refuses its reader, not the start.
        let sound = match output.status.code() {
            Some(0) => all,
            Some(65 | 1) => outcome == "refused" && named,
            _ => false,
        };
        if !sound {
            return Err(format!("check: {outcome}; started, {:?}\n{out}\n{err}", output.status));
        }
    }
    Ok(outcome)
}

fn wanted(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

/// Test of one engine's files, unless `DAMAGE_ENGINE` asks for those of the other alone; says what
/// was found.
fn no_damage_is_silent(engine: Engine) -> String {
    if std::env::var("DAMAGE_ENGINE").is_ok_and(|wanted| wanted != engine.name()) {
        return format!("{}: not asked for", engine.name());
    }
    let harness = Harness::new(engine);
    let node = harness.path("node");
    fs::create_dir(&node).unwrap();
    let older = harness.path("older");
    // The older copy is of the first start, before anything was built.
    copy(&node, &older);
    let output = harness.run(&node);
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(out.contains(&format!("{PACKAGES} reproduced")), "{out}\n{err}");
    assert_eq!(harness.built(), PACKAGES);
    copy(&node, &older.join("first"));
    let good = harness.path("good");
    let again = harness.run(&node);
    assert!(again.status.success() && harness.built() == PACKAGES);
    copy(&node, &good);
    let whole = checked(&good);
    assert!(whole.0 == Some(0) && is_whole(&whole.1), "{whole:?}");

    let others = wanted("DAMAGE_OTHERS", 4);
    let mut harms = vec![Harm::Flip; wanted("DAMAGE_FLIPS", 14)];
    harms.extend(vec![Harm::Cut; wanted("DAMAGE_CUTS", 7)]);
    for other in [Harm::TwoFlips, Harm::Zeros, Harm::Gone, Harm::Older] {
        harms.extend(vec![other; others / 4]);
    }
    let mut random = Numbers(wanted("DAMAGE_SEED", 1) as u64);
    let trial = harness.path("trial");
    let mut counts = BTreeMap::<_, usize>::new();
    let mut silent = Vec::new();
    for (number, kind) in harms.into_iter().enumerate() {
        if trial.exists() {
            fs::remove_dir_all(&trial).unwrap();
        }
        copy(&good, &trial);
        let what = harm(&trial, &older.join("first"), kind, &mut random);
        match outcome(&harness, &trial, number % STARTED_OF == 0) {
            Ok(outcome) => *counts.entry(format!("{kind:?} {outcome}")).or_insert(0) += 1,
            Err(error) => silent.push(format!("trial {number}, {what}: {error}")),
        }
    }
    assert!(silent.is_empty(), "{counts:?}\n{}", silent.join("\n\n"));
    fs::remove_dir_all(&trial).unwrap();
    copy(&good, &trial);
    jobs_of_lost_verdicts_are_built_again(&harness, &trial);
    format!("{}: {counts:?}, none silent", engine.name())
}

/// Takes some verdicts away, salvages the rest, and has the real node go on.
fn jobs_of_lost_verdicts_are_built_again(harness: &Harness, folder: &Path) {
    let (data, lost) = (folder.join("c"), 3);
    let dir = DataDir::open(&data).unwrap();
    let raw = harness.engine.open(&dir, StoreOptions::default()).unwrap();
    let mut raw = StoreOwner::take(raw, None).unwrap();
    let mut batch = Batch::default();
    for number in 0..lost {
        batch.delete(ReportRecord::key(11 + number));
        batch.delete(SignedReport::key(11 + number));
    }
    raw.commit(&[batch]).unwrap();
    drop((raw, dir));
    let (code, said) = checked(folder);
    assert!(code == Some(65) && said.contains("197 of 200 records"), "{code:?} {said}");
    let refused = harness.run(folder);
    assert_eq!(refused.status.code(), Some(65), "{refused:?}");
    let salvage = ["check", "--salvage", "--data-dir"];
    let salvaged = Command::new(NODE).args(salvage).arg(&data).output().unwrap();
    let said = String::from_utf8_lossy(&salvaged.stdout);
    assert!(salvaged.status.success() && said.contains("197 verdicts"), "{salvaged:?}");
    assert!(said.contains("built again: 3 jobs"), "{said}");
    let before = harness.built();
    let output = harness.run(folder);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains(&format!("{PACKAGES} reproduced")), "{output:?}");
    assert_eq!(harness.built() - before, 3, "only what was lost is built");
    let (code, said) = checked(folder);
    assert!(code == Some(0) && said.contains(&format!("{PACKAGES} verdicts")), "{code:?} {said}");
}

#[test]
fn no_damage_of_any_file_with_sled_is_silent() {
    println!("{}", no_damage_is_silent(Engine::Sled));
}

#[test]
fn no_damage_of_any_file_with_redb_is_silent() {
    println!("{}", no_damage_is_silent(Engine::Redb));
}
