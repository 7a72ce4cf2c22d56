//! What the kernel itself refuses to a command, in every phase, and ways around that.

use std::collections::BTreeMap;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rebuilder_actors::protocol::{Capability, Isolation};
use rebuilder_node::sandbox::{
    Bind, Capabilities, Exit, Kernel, Network, Personality, Sandbox, User, Wall,
};
use tokio_util::sync::CancellationToken;

use crate::fixture::Fixture;

/// The phases: the build, scripts of packages, apt while it fetches lists.
const PHASES: [(User, Network); 3] = [
    (User::Builder, Network::Loopback),
    (User::Root, Network::Loopback),
    (User::Root, Network::Host),
];

#[tokio::test]
async fn calls_that_no_build_needs_are_refused_in_every_phase() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let outside = on_the_host("forbidden");
    for (user, network) in PHASES {
        (fixture.spec.user, fixture.spec.network) = (user, network);
        let inside = probe(&fixture, "forbidden").await;
        assert_eq!(inside.len(), outside.len());
        for (name, error) in &inside {
            assert_eq!(error, "EPERM", "{name} of {user:?} with {network:?}");
            // Without the wall something else is wrong with the call, or nothing.
            assert_ne!(outside[name], "EPERM", "{name} shows nothing");
        }
    }
}

#[tokio::test]
async fn no_namespace_can_be_made_or_entered() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let outside = on_the_host("namespaces");
    assert!(outside.values().all(|error| error == "ok"), "{outside:?}");
    for (user, network) in PHASES {
        (fixture.spec.user, fixture.spec.network) = (user, network);
        for (name, error) in probe(&fixture, "namespaces").await {
            // As on a kernel without it: the C library then takes `clone`.
            let expected = if name == "clone3-user" { "ENOSYS" } else { "EPERM" };
            assert_eq!(error, expected, "{name} of {user:?} with {network:?}");
        }
    }
}

#[tokio::test]
async fn a_wall_has_the_doors_that_were_asked_for() {
    let Some(mut fixture) = Fixture::new().await else { return };
    fixture.spec.wall = Wall { nested_namespaces: true, ..Wall::default() };
    let script = "unshare -Urm sh -c 'mount -t tmpfs none /tmp && echo MOUNTED; id -u'";
    let (exit, printed) = fixture.sh(script).await;
    assert_eq!((exit, printed.as_str()), (Exit::Status(0), "MOUNTED\n0\n"));
    fixture.spec.wall = Wall { mounts: true, ..Wall::default() };
    fixture.spec.user = User::Root;
    let script = "mount -t tmpfs none /tmp && umount /tmp && unshare -m true && echo MOUNTED; \
        unshare -Ur id -u || echo refused; mount -o remount,rw,bind /proc/sys || echo kept";
    let (_, printed) = fixture.sh(script).await;
    assert!(printed.starts_with("MOUNTED\n"), "{printed}");
    assert!(printed.contains("refused"), "{printed}");
    // Whatever the doors, the rest of the wall stands.
    for wall in
        [fixture.spec.wall, Wall { nested_namespaces: true, mounts: true, socketcall: true }]
    {
        fixture.spec.wall = wall;
        let inside = probe(&fixture, "forbidden").await;
        for name in ["bpf", "keyctl", "perf_event_open", "userfaultfd", "io_uring_setup"] {
            assert_eq!(inside[name], "EPERM", "{name}");
        }
    }
}

#[tokio::test]
async fn sockets_have_the_usual_families_only() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let outside = on_the_host("families");
    // The kernel ignores upper bits (not every machine has this family).
    assert_eq!(outside["family-high"], outside["family-40"]);
    for (user, network) in PHASES {
        (fixture.spec.user, fixture.spec.network) = (user, network);
        let inside = probe(&fixture, "families").await;
        assert_eq!(inside["family-high"], "EAFNOSUPPORT");
        for family in 0..=46 {
            let found = &inside[&format!("family-{family}")];
            let pair = &inside[&format!("pair-{family}")];
            let local = family == 1 && network == Network::Loopback;
            if local || [2, 10, 16].contains(&family) {
                assert_ne!(found, "EPERM", "{family}");
                assert_eq!(*found, outside[&format!("family-{family}")], "{family}");
                assert_eq!(*pair, outside[&format!("pair-{family}")], "{family}");
            } else {
                assert_eq!(found, "EAFNOSUPPORT", "{family} of {user:?} with {network:?}");
                assert_eq!(pair, "EAFNOSUPPORT", "{family} of {user:?} with {network:?}");
            }
        }
    }
}

#[tokio::test]
async fn there_is_no_way_around_by_another_numbering_of_calls() {
    let Some(mut fixture) = Fixture::new().await else { return };
    for (user, network) in PHASES {
        (fixture.spec.user, fixture.spec.network) = (user, network);
        let inside = probe(&fixture, "around").await;
        for (name, error) in inside {
            let expected = match name.as_str() {
                "int80-getpid" | "int80-socket-inet" => "ok",
                "int80-socket-vsock" | "int80-socketcall" | "int80-socketcall-pair" => {
                    "EAFNOSUPPORT"
                }
                name if name.starts_with("int80-") => "EPERM",
                _ => "ENOSYS",
            };
            // A kernel without 32-bit calls ends the process: nothing is printed then.
            assert_eq!(error, expected, "{name} of {user:?} with {network:?}");
        }
    }
}

/// i386's C library makes sockets by `socketcall`, here from a 64-bit program.
#[tokio::test]
async fn sockets_of_32_bit_programs_have_the_usual_families_only() {
    let Some(mut fixture) = Fixture::new().await else { return };
    if std::env::consts::ARCH != "x86_64" || !Kernel::detect().listens {
        eprintln!("SKIPPED: no 32-bit calls here, or they cannot be handed over");
        return;
    }
    let outside = on_the_host("families");
    fixture.spec.wall = Wall { socketcall: true, ..Wall::default() };
    for (user, network) in PHASES {
        (fixture.spec.user, fixture.spec.network) = (user, network);
        let inside = probe(&fixture, "socketcall").await;
        for family in 0..=46 {
            let local = family == 1 && network == Network::Loopback;
            for kind in ["family", "pair"] {
                let name = format!("{kind}-{family}");
                if local || [2, 10, 16].contains(&family) {
                    assert_eq!(inside[&name], outside[&name], "{name} of {user:?} {network:?}");
                } else {
                    assert_eq!(inside[&name], "EAFNOSUPPORT", "{name} of {user:?} {network:?}");
                }
            }
        }
        for (name, expected) in [
            ("bad-pointer", "EFAULT"),
            ("bad-pair", if network == Network::Host { "EAFNOSUPPORT" } else { "EFAULT" }),
            ("bad-type", "EINVAL"),
            ("negative", "EAFNOSUPPORT"),
            ("closes", "ok"),
            ("stays", "ok"),
            ("does-not-block", "ok"),
            ("raw", "EPERM"),
            ("others", "EBADF"),
            ("raced", "ok"),
            ("threads", "ok"),
        ] {
            assert_eq!(inside[name], expected, "{name} of {user:?} with {network:?}");
        }
        if network == Network::Loopback {
            assert_eq!(inside["talks"], "ok");
        }
        // What makes the sockets is out of reach: a builder has no right, and for root there is
        // Landlock, or else the run ends in an error.
        match fixture
            .try_sh("cat /proc/3/environ; kill -9 3; exit 5", &CancellationToken::new())
            .await
        {
            Ok((exit, printed)) => {
                assert_eq!(exit, Exit::Status(5), "{printed}");
                assert_eq!(printed.matches("not permitted").count(), 1, "{printed}");
                assert_eq!(printed.matches("denied").count(), 1, "{printed}");
            }
            Err(error) => assert!(error.to_string().contains("make sockets"), "{error}"),
        }
    }
    // Killed from outside, as for want of memory: that is no verdict about a package.
    let cancel = CancellationToken::new();
    let (ended, ()) = tokio::join!(fixture.try_sh("sleep 60", &cancel), kill_third());
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("cannot make sockets: the process has ended"), "{error}");
}

/// Kills the third process of a sandbox of this very process, once it is there.
async fn kill_third() {
    let children = |id: &str| {
        let file = format!("/proc/{id}/task/{id}/children");
        fs::read_to_string(file).unwrap_or_default()
    };
    let own = std::process::id();
    loop {
        for task in fs::read_dir(format!("/proc/{own}/task")).unwrap() {
            let listed = fs::read_to_string(task.unwrap().path().join("children"));
            for monitor in listed.unwrap_or_default().split_whitespace() {
                for first in children(monitor).split_whitespace() {
                    for id in children(first).split_whitespace() {
                        let status = fs::read_to_string(format!("/proc/{id}/status"));
                        if status.unwrap_or_default().contains(&format!("NSpid:\t{id}\t3\n")) {
                            assert!(
                                Command::new("kill").args(["-9", id]).status().unwrap().success()
                            );
                            return;
                        }
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_hosts_sockets_are_out_of_reach_whatever_they_are_called() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let name = format!("rebuilder-wall-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    let given = fixture.path("given");
    fs::create_dir(&given).unwrap();
    let _named = UnixListener::bind(given.join("socket")).unwrap();
    open(&given);
    let reach = |at: String| {
        let output = Command::new(program()).args(["reach", &at]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(reach(format!("@{name}")), "connect ok\n");
    assert_eq!(reach(given.join("socket").display().to_string()), "connect ok\n");
    let bind = Bind { source: given, target: PathBuf::from("/given"), read_only: true };
    fixture.spec.binds.push(bind);
    for (user, network) in PHASES {
        (fixture.spec.user, fixture.spec.network) = (user, network);
        bind_program(&mut fixture);
        let (_, printed) = fixture.sh(&format!("/probe/probe reach @{name}")).await;
        let expected = match network {
            // In a network of its own nothing has that name.
            Network::Loopback => ["connect ECONNREFUSED\n", "connect EPERM\n"].as_slice(),
            Network::Host => &["connect EAFNOSUPPORT\npair EAFNOSUPPORT\n"],
        };
        assert!(expected.contains(&printed.as_str()), "{printed} of {user:?} with {network:?}");
        let (_, printed) = fixture.sh("/probe/probe reach /given/socket").await;
        // From version 9 on Landlock knows names that are paths.
        if network == Network::Host || Kernel::detect().landlock_abi >= Some(9) {
            assert!(!printed.contains("connect ok"), "{printed} of {user:?} with {network:?}");
        }
    }
}

#[tokio::test]
async fn nobody_gains_rights_by_what_is_executed() {
    let Some(mut fixture) = Fixture::new().await else { return };
    for (user, network) in PHASES {
        (fixture.spec.user, fixture.spec.network) = (user, network);
        let (_, printed) = fixture.sh("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status").await;
        assert_eq!(printed, "NoNewPrivs:\t1\nSeccomp:\t2\n");
    }
}

/// What a command is held in and what its report says follow from one value: on a machine that has
/// less, less is put up and less is said.
#[tokio::test]
async fn barriers_that_a_machine_lacks_are_neither_built_nor_claimed() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let shown = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status";
    let whole = fixture.sandbox.capabilities().clone();
    let bare = Kernel { seccomp: false, listens: false, landlock_abi: None };
    for (kernel, filter, isolation) in [
        (whole.kernel, u8::from(whole.kernel.seccomp) * 2, None),
        (bare, 0, Some(Isolation::Network)),
    ] {
        let machine = Capabilities { kernel, ..whole.clone() };
        fixture.sandbox = Sandbox::with(fixture.sandbox.settings().clone(), machine);
        let evidence = fixture.sandbox.evidence(Wall::default(), Personality::Native);
        if let Some(isolation) = isolation {
            assert_eq!(evidence.isolation(), isolation);
            assert_eq!(evidence.landlock_abi, None);
        }
        let named = evidence.capabilities.contains(&Capability::Seccomp);
        assert_eq!(named, kernel.seccomp, "{evidence:?}");
        let (exit, printed) = fixture.sh(shown).await;
        assert_eq!(printed, format!("NoNewPrivs:\t1\nSeccomp:\t{filter}\n"), "{exit:?}");
    }
}

/// Errors by name, as the probe prints them inside.
async fn probe(fixture: &Fixture, what: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let (spec, sandbox) = (fixture.spec.clone(), fixture.sandbox.clone());
    let mut fixture = Fixture { folder, spec, sandbox };
    bind_program(&mut fixture);
    let (exit, printed) = fixture.sh(&format!("/probe/probe {what}")).await;
    assert_eq!(exit, Exit::Status(0), "{printed}");
    parse(&printed)
}

fn on_the_host(what: &str) -> BTreeMap<String, String> {
    let output = Command::new(program()).arg(what).output().unwrap();
    parse(&String::from_utf8(output.stdout).unwrap())
}

fn parse(printed: &str) -> BTreeMap<String, String> {
    let pairs = printed.lines().filter_map(|line| line.split_once(' '));
    let all: BTreeMap<_, _> = pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    assert!(!all.is_empty(), "the probe said nothing");
    all
}

pub fn bind_program(fixture: &mut Fixture) {
    let source = program().parent().unwrap().to_owned();
    let bind = Bind { source, target: PathBuf::from("/probe"), read_only: true };
    fixture.spec.binds.push(bind);
}

/// The probe, compiled once, in a folder that everybody may read.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wall-probe");
        fs::create_dir_all(&folder).unwrap();
        open(&folder);
        let program = folder.join("probe");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sandbox/probe.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-static", "-no-pie", "-o"]).arg(&program).arg(source);
        assert!(compiler.status().unwrap().success(), "the probe cannot be compiled");
        program
    })
}

fn open(folder: &Path) {
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder, everybody).unwrap();
}
