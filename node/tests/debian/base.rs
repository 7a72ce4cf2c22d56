//! What the packages of a base root can reach while it is made.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use rebuilder_actors::protocol::{Archive, FaultKind};
use rebuilder_node::backend::BuildError;

use crate::archive::{Key, Served, binary, crafted, source};
use crate::harness::{Harness, Outcome, suite_assignment};
use crate::mirror;

/// One harness for all of it: honest packages before and after, hostile ones between.
#[tokio::test(flavor = "multi_thread")]
async fn packages_of_a_base_root_are_confined() {
    let own = tempfile::tempdir().unwrap();
    let key = Key::new(own.path());
    let harness = Harness::including(&[&key.keyring], &["base-extra"]);
    let served = Served::new(harness.folder.path().join("archive"));
    let install = "override_dh_auto_install:\n\tmkdir -p debian/tiny/usr/share/tiny\n\t\
                   echo content >debian/tiny/usr/share/tiny/file\n";
    source(&served.folder, "tiny", "debhelper-compat (= 13)", install);
    let scene = Scene { harness, served, key };
    binary(&scene.served.pool("honest"), "base-extra", "1.0");
    let honest = scene.attempt("honest").await;
    let expected = honest.sha256(DEB).expect("built");
    let log = honest.progress.log();
    assert!(log.contains("Setting up base-extra (1.0)"), "what is included is there: {log}");

    scripts(&scene, &expected).await;
    for (name, by, data) in TARS {
        tar(&scene, name, by, data).await;
    }
    unreachable(&scene).await;

    let again = scene.attempt("honest").await;
    assert_eq!(again.sha256(DEB), Some(expected));
    assert!(scene.harness.is_clean());
}

/// A preinst, a postinst and a trigger look for what is not theirs, and then let the build go on.
async fn scripts(scene: &Scene, expected: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let secret = scene.harness.folder.path().join("worker.key");
    std::fs::write(&secret, "secret").unwrap();
    let look = |who: &str| {
        LOOK.replace("@WHO@", who)
            .replace("@KEY@", secret.to_str().unwrap())
            .replace("@PORT@", &port.to_string())
            .replace("@OUT@", scene.harness.folder.path().to_str().unwrap())
    };
    // The same look from here finds everything, or it would prove nothing.
    let seen = crate::archive::run(Path::new("/"), &["sh", "-c", &look("host")]);
    assert!(!seen.contains("host key 0") && seen.contains("host tcp open"), "{seen}");
    assert!(seen.contains("host wrote outside at most"), "{seen}");
    std::fs::remove_file(scene.harness.folder.path().join("by-host")).unwrap();
    assert!(listener.accept().is_ok(), "the look from the host");

    let pool = scene.served.pool("scripts");
    let (before, after) = (look("preinst"), look("postinst"));
    let by_trigger = look("trigger").replace("exit 0", "[ \"$1\" = triggered ] || exit 0");
    let empty = "tar -cf data.tar -T /dev/null";
    let file = "mkdir -p usr/share/base-extra && echo x >usr/share/base-extra/x && \
                tar -cf data.tar --owner=0 --group=0 ./usr";
    let control = [("preinst", &*before), ("postinst", &*after)];
    crafted(&pool, "base-extra", "Depends: base-trigger\n", &control, file);
    let control = [("triggers", "interest /usr/share/base-extra\n"), ("postinst", &*by_trigger)];
    crafted(&pool, "base-trigger", "", &control, empty);
    let outcome = scene.attempt("scripts").await;
    let log = outcome.progress.log();
    for who in ["preinst", "postinst", "trigger"] {
        for line in ["key 0", "tcp closed", "uid 0 1879048192", "wrote inside at most"] {
            assert!(log.contains(&format!("{who} {line}")), "{who} {line}: {log}");
        }
        let outside = scene.harness.folder.path().join(format!("by-{who}"));
        assert!(!outside.exists(), "{} was written", outside.display());
    }
    let refused = listener.accept().map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::WouldBlock), "a script reached the host's loopback");
    assert_eq!(outcome.sha256(DEB).as_deref(), Some(expected), "the honest package is the same");
}

/// A package whose files are meant for elsewhere.
async fn tar(scene: &Scene, name: &str, by: By, data: &str) {
    let outside = scene.harness.folder.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("file"), "before").unwrap();
    let data = data.replace("@OUT@", outside.to_str().unwrap());
    let pool = scene.served.pool(name);
    match by {
        By::HostTools => {
            binary(&pool, "base-extra", "1.0");
            crafted(&pool, "base-tar", "Essential: yes\n", &[], &data);
        }
        By::OwnTools => crafted(&pool, "base-extra", "", &[], &data),
    }
    fault(&scene.attempt(name).await, FaultKind::InputsUnavailable);
    let found: Vec<_> = std::fs::read_dir(&outside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, ["file"], "{name}");
    assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "before", "{name}");
}

/// Faults by what they are.
async fn unreachable(scene: &Scene) {
    let suite = |url: &str, suite: &str| Archive::Suite {
        url: url.into(),
        suite: suite.into(),
        components: vec!["main".into()],
    };
    let down = scene.of(vec![suite("http://127.0.0.1:9/debian", "down")]).await;
    fault(&down, FaultKind::FetchFailed);
    let absent = scene.of(vec![suite(&scene.served.url, "absent")]).await;
    fault(&absent, FaultKind::InputsUnavailable);

    // Its index is not the one that was signed.
    binary(&scene.served.pool("altered"), "base-extra", "1.0");
    scene.served.suite(&scene.key, "altered");
    let index = scene.served.folder.join("dists/altered/main/binary-amd64/Packages");
    std::fs::write(index, "Package: x\n").unwrap();
    let altered = scene.of(vec![suite(&scene.served.url, "altered")]).await;
    fault(&altered, FaultKind::FetchFailed);

    // Signed by somebody else.
    let other = tempfile::tempdir().unwrap();
    scene.served.pool("foreign");
    let foreign = scene.served.suite(&Key::new(other.path()), "foreign");
    fault(&scene.of(vec![foreign]).await, FaultKind::InputsUnavailable);
    let left = scene.harness.bases().into_iter().find(|folder| folder.join("scratch").exists());
    assert_eq!(left, None, "what was begun is removed");
}

struct Scene {
    harness: Harness,
    served: Served,
    key: Key,
}

impl Scene {
    /// Builds the honest package on a base root from the mirror and one suite of our own.
    async fn attempt(&self, suite: &str) -> Outcome {
        let own = self.served.suite(&self.key, suite);
        let outcome = self.of([mirror::suites(), vec![own]].concat()).await;
        println!("{suite}: {:.1} s {}", outcome.seconds, outcome.progress.times());
        let (log, folder) = (outcome.progress.log(), self.harness.folder.path());
        // But for what a hostile package itself names.
        let shows = log
            .lines()
            .find(|line| line.contains(folder.to_str().unwrap()) && !line.contains("outside/"));
        assert_eq!(shows, None, "the log shows no path of the host");
        outcome
    }

    async fn of(&self, archives: Vec<Archive>) -> Outcome {
        let dsc = self.served.file("tiny_1.0.dsc");
        let files = [(DEB, "amd64")];
        self.harness.attempt(suite_assignment("tiny", "1.0", dsc, archives, &files)).await
    }
}

fn fault(outcome: &Outcome, kind: FaultKind) {
    match &outcome.ended {
        Err(BuildError::Fault(fault)) if fault.kind == kind => println!("{kind}: {}", fault.detail),
        other => panic!("{kind} was expected: {other:?}\n{}", outcome.progress.log()),
    }
}

/// Who unpacks a package.
#[derive(Clone, Copy)]
enum By {
    /// The host's tar, before the root has one.
    HostTools,
    /// The root's dpkg.
    OwnTools,
}

/// What an archive of files holds; `@OUT@` is a folder of the host with one file.
const TARS: [(&str, By, &str); 5] = [
    ("tar-link", By::HostTools, THROUGH_A_LINK),
    ("tar-device", By::HostTools, "mknod disk b 8 0 && tar -cf data.tar ./disk"),
    (
        "tar-hard-link",
        By::HostTools,
        "echo x >a && ln a b && tar -cf data.tar --transform 's,^\\./a$,..@OUT@/file,hRS' ./a ./b",
    ),
    (
        "tar-climbs",
        By::HostTools,
        "echo x >x && tar -cPf data.tar --transform 's,^\\./x,../../../../../..@OUT@/new,' ./x",
    ),
    ("tar-link-later", By::OwnTools, THROUGH_A_LINK),
];

const THROUGH_A_LINK: &str = "ln -s /proc/1/root@OUT@ through && echo x >x && \
                              tar -cf data.tar ./through && \
                              tar -rf data.tar --transform 's,^\\./x,./through/new,' ./x";

/// Prints what it finds and ends well.
const LOOK: &str = r#"#!/bin/sh
echo "@WHO@ base-extra look"
echo "@WHO@ key $(cat @KEY@ /proc/1/root@KEY@ 2>/dev/null | wc -c)"
if perl -e 'use Socket; socket(S, PF_INET, SOCK_STREAM, 0);
    exit !connect(S, sockaddr_in(@PORT@, inet_aton("127.0.0.1")))' 2>/dev/null
then echo "@WHO@ tcp open"; else echo "@WHO@ tcp closed"; fi
echo "@WHO@ uid $(awk '{print $1, $2}' /proc/self/uid_map)"
wrote=inside
for root in '' /proc/1/root; do
    if touch "$root@OUT@/by-@WHO@" 2>/dev/null; then wrote=outside; fi
done
echo "@WHO@ wrote $wrote at most"
exit 0
"#;

const DEB: &str = "tiny_1.0_amd64.deb";
