//! One archive with a package for each question, rebuilt by one node: base roots take the time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::archive::{Archive, architecture};
use crate::checks::Checks;
use crate::node::{Node, ProcessEnd};
use crate::package::{Source, alter, binary, entry};
use crate::reference::{Reference, suites};
use crate::{altered, attestation, hidden, recorded, tools};

/// The archive, the node that rebuilt it, and how that went.
pub struct Scene {
    pub folder: tempfile::TempDir,
    pub archive: Archive,
    pub node: Node,
    pub ended: ProcessEnd,
    /// What the first builds, in the reference root, printed.
    pub reference_log: String,
    /// What an attempt to see everything gives on the host while the node runs.
    pub seen_on_host: String,
    /// Whether the process that outlives its build was ever seen.
    pub was_marked: bool,
}

#[test]
fn an_archive_is_rebuilt_by_a_whole_node() {
    tools::require();
    let scene = Scene::new();
    println!("{}", scene.ended.table);
    let mut checks = Checks::default();
    checks.run("the node ends well", || {
        assert!(scene.ended.status.success(), "{}", scene.ended.log);
    });
    let serving = checks.run("the coordinator starts again", || scene.node.serve());
    checks.run("recorded environments reproduce", || recorded::reproduce(&scene));
    checks.run("a recorded version that nobody has", || recorded::gone(&scene));
    checks.run("a file altered in a signed index differs", || altered::differs(&scene));
    checks.run("the difference is kept and readable", || altered::difference(&scene));
    checks.run("a file altered on the mirror alone", || altered::behind_the_index(&scene));
    checks.run("a source that does not build", || altered::broken(&scene));
    checks.run("a build sees nothing", || hidden::sees_nothing(&scene));
    checks.run("nothing published is fetched early", || hidden::fetched_late(&scene));
    checks.run("attestations hold", || attestation::holds(&scene));
    drop(serving);
    checks.run("a second run has nothing to do", || recorded::again(&scene));
    checks.run("a profile looks at every file", || altered::looked_for(&scene));
    checks.run("unsigned indexes are no gate", || recorded::unsigned(&scene));
    checks.run("a run notices that the index has moved", || recorded::moved(&scene));
    checks.finish();
}

/// Its own packages.
pub const PACKAGES: [&str; 8] = [
    "tiny",
    "tiny-plain",
    "tiny-nmu",
    "tiny-gone",
    "tiny-broken",
    "tiny-altered",
    "tiny-random",
    "tiny-spy",
];

impl Scene {
    fn new() -> Self {
        let folder = tools::folder();
        let reference = Reference::new();
        let archive = Archive::new(folder.path());
        let node = Node::new(folder.path().join("node"));
        let reference_log = first_builds(folder.path(), &archive, &node, &reference);
        publish(folder.path(), &archive, &reference);
        node.configure(&sections(folder.path(), &archive, ""));
        hidden::prepare_host(folder.path(), &archive, &node);
        archive.server.forget_requests();
        archive.server.mark(hidden::MARK);
        let (mut seen_on_host, mut was_marked) = (String::new(), false);
        let began = tools::now();
        let ended = node.until_idle(Duration::from_secs(1200), || {
            was_marked |= tools::processes_with(hidden::MARK) > 0;
            if !hidden::is_everything(&seen_on_host) && node.data_dir().join("ctl.key").exists() {
                seen_on_host = hidden::look_from_host(folder.path(), &node);
            }
        });
        println!("rebuilt in {:.1} s", began.elapsed().as_secs_f32());
        Self { folder, archive, node, ended, reference_log, seen_on_host, was_marked }
    }
}

/// The sections of a configuration; `more` are further keys of the profile.
pub fn sections(folder: &Path, archive: &Archive, more: &str) -> String {
    let items: Vec<String> = suites()
        .iter()
        .map(|(url, suite, component)| {
            format!("{{ url = \"{url}\", suite = \"{suite}\", components = [\"{component}\"] }}")
        })
        .chain([archive.flat_item()])
        .collect();
    let profile = archive.profile("debian", &items.join(", "));
    let (folder, keyring) = (folder.display(), archive.keyring.display());
    format!(
        "[debian]\ntmpfs = \"{folder}/memory\"\ntmpfs_free_bytes_min = \"1 GiB\"\n\
         cache_dir = \"{folder}/cache\"\nkeyrings = [\n\
         \"/usr/share/keyrings/debian-archive-keyring.gpg\", \"{keyring}\"]\n\
         base_include = [\"fakeroot\", \"debhelper\", \"tiny-dep\"]\n\
         [diffoscope]\nenabled = true\n\
         [profile.\"own\"]\n{profile}\n{more}"
    )
}

/// Builds everything once by hand, in the reference root: sources, `.deb`s and `.buildinfo`s are
/// then below `out` in `folder`.
fn first_builds(folder: &Path, archive: &Archive, node: &Node, reference: &Reference) -> String {
    let (sources, out) = (folder.join("first/in"), folder.join("first/out"));
    std::fs::create_dir_all(&sources).unwrap();
    std::fs::create_dir_all(&out).unwrap();
    for source in all_sources(folder, archive, node) {
        source.make(&sources);
    }
    for version in ["0.5", "1.0"] {
        binary(&sources, "tiny-dep", version, "all");
    }
    let nmu = entry("tiny-nmu", "1.0+b1", "urgency=low, binary-only=yes", "02");
    std::fs::write(sources.join("nmu"), nmu).unwrap();
    let script = "mkdir -p /build/reproducible-path; cd /build/reproducible-path\n\
        touch /srv/lucky\n\
        first() { dpkg-source -x /srv/in/$1_1.0.dsc $1-1.0 && cd $1-1.0; \
          if [ $1 = tiny-nmu ]; then cat /srv/in/nmu debian/changelog >n; \
          mv n debian/changelog; fi; dpkg-buildpackage -us -uc -b; cd ..; }\n\
        dpkg -i /srv/in/tiny-dep_0.5_all.deb; first tiny-gone\n\
        dpkg -i /srv/in/tiny-dep_1.0_all.deb\n\
        for name in $NAMES; do first $name; done\n\
        rm -f *-dbgsym_*; mv *.deb *.buildinfo /srv/out/";
    let names: Vec<&str> = PACKAGES.into_iter().filter(|name| *name != "tiny-gone").collect();
    let script = script.replace("$NAMES", &names.join(" "));
    let began = tools::now();
    let log = reference.run(&folder.join("first"), &script);
    println!("first builds took {:.1} s", began.elapsed().as_secs_f32());
    log
}

fn all_sources(folder: &Path, archive: &Archive, node: &Node) -> Vec<Source> {
    let mut tiny = Source::new("tiny", "cp /usr/share/tiny-dep/version $out/content");
    tiny.depends = "tiny-dep";
    tiny.files = vec![("main.c", "int main(void) { return 0; }\n".to_owned())];
    tiny.rules.push_str(
        "\tinstall -D tiny debian/tiny/usr/bin/tiny\n\n\
         override_dh_auto_build:\n\tcc $(shell dpkg-buildflags --get CFLAGS) -o tiny main.c\n",
    );
    let mut nmu = Source::new("tiny-nmu", "cp /usr/share/tiny-dep/version $out/content");
    nmu.depends = "tiny-dep";
    let mut gone = Source::new("tiny-gone", "cp /usr/share/tiny-dep/version $out/content");
    gone.depends = "tiny-dep";
    vec![
        tiny,
        Source::new("tiny-plain", "echo plain >$out/content"),
        nmu,
        gone,
        Source::new("tiny-broken", "test -e /srv/lucky && echo built >$out/content"),
        altered::source(),
        Source::new("tiny-random", "head -c 20 /dev/urandom | od >$out/content"),
        hidden::source(folder, archive, node),
    ]
}

/// Publishes what was built: the archive's suite has moved on meanwhile.
fn publish(folder: &Path, archive: &Archive, reference: &Reference) {
    let pool = archive.pool();
    let copy = |from: &str, to: PathBuf| {
        let script = format!("cp first/{from} \"$1\"");
        tools::run(folder, &["sh", "-ec", &script, "sh", to.to_str().unwrap()]);
    };
    copy("out/*.buildinfo", archive.folder.join("buildinfos"));
    copy("out/*.deb", pool.clone());
    copy("in/*.dsc", pool.clone());
    copy("in/*.tar.xz", pool.clone());
    binary(&pool, "tiny-dep", "2.0", "all");
    let native = architecture();
    alter(&pool.join(format!("tiny-altered_1.0_{native}.deb")));
    archive.publish();
    alter(&pool.join(format!("tiny-random_1.0_{native}.deb")));
    copy("in/tiny-dep_1.0_all.deb", archive.folder.join("flat"));
    let flat = archive.folder.join("flat");
    let script = "ln -s \"$1\"/*.deb .";
    tools::run(&flat, &["sh", "-ec", script, "sh", reference.pool.to_str().unwrap()]);
    archive.publish_flat();
}
