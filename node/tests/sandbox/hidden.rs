//! What a build must not see, reach or do.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rebuilder_node::sandbox::{Bind, Exit, Network, User};

use crate::fixture::Fixture;

#[tokio::test]
async fn the_hosts_files_and_environment_are_out_of_sight() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let secret = fixture.path("secret");
    fs::write(&secret, "TOP-SECRET").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    fixture.spec.environment.insert("ONLY".to_owned(), "this one".to_owned());
    let path = secret.display();
    let script = format!(
        "cat {path}; cat /proc/1/root{path}; cat /proc/*/root{path}; ls /; env; \
         cat /proc/1/environ; ls /proc/1/fd; readlink /proc/1/exe"
    );
    for user in [User::Builder, User::Root] {
        fixture.spec.user = user;
        let (_, printed) = fixture.sh(&script).await;
        assert!(!printed.contains("TOP-SECRET"), "{printed}");
        assert!(printed.contains("ONLY=this one"), "{printed}");
        let named: Vec<&str> = printed.lines().filter(|line| line.contains('=')).collect();
        let own = ["ONLY=", "PATH=", "PWD=", "SHLVL=", "OLDPWD=", "_="];
        assert!(
            named.iter().all(|line| own.iter().any(|name| line.starts_with(name))),
            "{named:?}"
        );
        assert!(!printed.contains("rebuilder-node"), "{printed}");
    }
}

#[tokio::test]
async fn the_hosts_network_is_out_of_reach_and_the_own_loopback_works() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Whoever gets through is let go at once.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let reach = format!("nc -w 2 127.0.0.1 {port} </dev/null && echo REACHED; ip -o link | wc -l");
    let (_, printed) = fixture.sh(&reach).await;
    assert!(!printed.contains("REACHED"), "{printed}");
    assert_eq!(printed.lines().last(), Some("1"), "{printed}");
    let own = "(echo hello | nc -l -p 4711) & sleep 1; nc -w 5 127.0.0.1 4711 </dev/null";
    let (_, printed) = fixture.sh(own).await;
    assert!(printed.contains("hello"), "{printed}");
    // The same attempt succeeds where it may: the test above can fail.
    fixture.spec.network = Network::Host;
    let (_, printed) = fixture.sh(&reach).await;
    assert!(printed.contains("REACHED"), "{printed}");
}

#[tokio::test]
async fn other_processes_are_out_of_sight() {
    let Some(fixture) = Fixture::new().await else { return };
    let (exit, printed) = fixture.sh("cd /proc; ls -d [0-9]* | wc -l; hostname; kill -9 1").await;
    let lines: Vec<&str> = printed.lines().collect();
    let count: usize = lines[0].parse().unwrap();
    assert!(count <= 4, "{printed}");
    assert_eq!(lines[1], "rebuilder");
    // Even the first process cannot be killed from inside.
    assert!(matches!(exit, Exit::Status(0 | 1)), "{exit:?}");
}

#[tokio::test]
async fn a_read_only_bind_stays_read_only_for_everybody() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let (given, taken) = (fixture.path("given"), fixture.path("taken"));
    for folder in [&given, &taken] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("file"), "old").unwrap();
        fixture.sandbox.chown_into(folder, User::Builder).await.unwrap();
    }
    fixture.spec.binds = vec![
        Bind { source: given.clone(), target: PathBuf::from("/input/deep"), read_only: true },
        Bind { source: taken.clone(), target: PathBuf::from("/output"), read_only: false },
    ];
    let script = "cat /input/deep/file; echo new > /input/deep/file; \
        mount -o remount,rw /input/deep; mount -o remount,bind,rw /input/deep; umount /input/deep; \
        echo new > /input/deep/file; \
        unshare -Urm sh -c 'mount -o remount,bind,rw /input/deep; umount /input/deep; \
        echo new > /input/deep/file'; \
        echo new > /output/file; echo more > /output/more";
    for user in [User::Root, User::Builder] {
        fixture.spec.user = user;
        let (_, printed) = fixture.sh(script).await;
        assert!(printed.starts_with("old"), "{printed}");
        assert_eq!(fs::read_to_string(given.join("file")).unwrap(), "old", "{printed}");
        assert_eq!(fs::read_to_string(taken.join("file")).unwrap(), "new\n", "{printed}");
        fs::write(taken.join("file"), "old").unwrap();
    }
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(taken.join("more")).unwrap());
    assert!(owner >= fixture.sandbox.root_id(), "{owner}");
}

#[tokio::test]
async fn the_builder_has_no_rights_and_root_only_those_of_the_namespace() {
    let Some(mut fixture) = Fixture::new().await else { return };
    let script = "id -u; id -g; mknod /tmp/disk b 8 0 && echo MADE; mount -t tmpfs none /tmp && \
        echo MOUNTED; grep -E '^(Cap|NoNew)' /proc/self/status; echo 1 > /proc/sys/kernel/sysrq && \
        echo TURNED; echo b > /proc/sysrq-trigger && echo BOOTED; chown 0 /tmp && echo CHOWNED; \
        ls /sys | wc -l";
    let (_, printed) = fixture.sh(script).await;
    assert!(printed.starts_with("1000\n1000\n"), "{printed}");
    for done in ["MADE", "MOUNTED", "TURNED", "BOOTED", "CHOWNED"] {
        assert!(!printed.contains(done), "{printed}");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(printed.contains(&format!("{set}:\t0000000000000000")), "{printed}");
    }
    assert!(printed.contains("NoNewPrivs:\t1"), "{printed}");
    assert!(printed.ends_with("\n0\n"), "{printed}");
    fixture.spec.user = User::Root;
    let (_, printed) = fixture.sh(script).await;
    assert!(printed.starts_with("0\n0\n"), "{printed}");
    for done in ["MADE", "TURNED", "BOOTED"] {
        assert!(!printed.contains(done), "{printed}");
    }
    assert!(printed.contains("CHOWNED"), "{printed}");
}

#[tokio::test]
async fn only_the_three_standard_descriptors_are_open() {
    let Some(fixture) = Fixture::new().await else { return };
    // A descriptor that every child of this process inherits.
    let mut leaked = fs::File::open("/proc/self/status").unwrap();
    leaked.read_exact(&mut [0]).unwrap();
    let inherited = nix::unistd::dup(&leaked).unwrap();
    let (_, printed) = fixture.sh("ls -l /proc/self/fd; head -c 1 | wc -c; tty").await;
    drop(inherited);
    let open: Vec<&str> = printed.lines().filter(|line| line.contains(" builder ")).collect();
    // The fourth is the folder that `ls` read.
    assert_eq!(open.len(), 4, "{printed}");
    assert!(open[0].ends_with("/dev/null"), "{printed}");
    assert!(printed.contains("\n0\nnot a tty"), "{printed}");
}

#[tokio::test]
async fn the_devices_work() {
    let Some(fixture) = Fixture::new().await else { return };
    let script = "echo gone > /dev/null; head -c 4 /dev/zero | wc -c; \
        head -c 4 /dev/urandom | wc -c; echo out > /dev/stdout; echo err > /dev/stderr; \
        echo > /dev/full || echo full; \
        echo x > /dev/shm/x && cat /dev/shm/x; ls /dev; stat -c %u:%g /dev/null /";
    let (_, printed) = fixture.sh(script).await;
    let expected = "4\n4\nout\nerr\n";
    assert!(printed.starts_with(expected), "{printed}");
    let names =
        "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    assert!(printed.ends_with(&format!("full\nx\n{names}0:0\n0:0\n")), "{printed}");
}
