//! An archive on the loopback: packages made here by the real tools, signed with a key made here.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rebuilder_actors::protocol::{Archive, RemoteFile, Sha256};

/// A folder that is served over HTTP.
pub struct Served {
    pub folder: PathBuf,
    pub url: String,
}

impl Served {
    /// Serves `folder` until the process ends.
    pub fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let url = format!("http://{}", listener.local_addr().unwrap());
        let root = folder.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let root = root.clone();
                std::thread::spawn(move || serve(stream, &root));
            }
        });
        Self { folder, url }
    }

    /// A file of it, with its digest.
    pub fn file(&self, name: &str) -> RemoteFile {
        let bytes = std::fs::read(self.folder.join(name)).expect("a file of the archive");
        RemoteFile {
            url: format!("{}/{name}", self.url).into(),
            size: Some(bytes.len() as u64),
            sha256: Some(Sha256::of(&bytes)),
        }
    }

    /// The folder as a flat repository, indexed and signed anew.
    pub fn flat(&self, key: &Key) -> Archive {
        let script = "rm -f Packages Release InRelease && apt-ftparchive packages . >Packages && \
                      apt-ftparchive release . >.r && mv .r Release && \
                      gpg --homedir \"$1\" --batch --yes --clearsign -o InRelease Release";
        run(&self.folder, &["sh", "-ec", script, "sh", key.home.to_str().unwrap()]);
        Archive::Suite { url: self.url.as_str().into(), suite: "./".into(), components: vec![] }
    }
}

impl Served {
    /// Where the packages of a suite are put.
    pub fn pool(&self, suite: &str) -> PathBuf {
        let pool = self.folder.join("pool").join(suite);
        std::fs::create_dir_all(&pool).unwrap();
        pool
    }

    /// What is in the pool of a suite, with a `dists` tree that is signed.
    pub fn suite(&self, key: &Key, suite: &str) -> Archive {
        let script = "mkdir -p dists/$1/main/binary-amd64 && \
                      apt-ftparchive packages pool/$1 >dists/$1/main/binary-amd64/Packages && \
                      cd dists/$1 && apt-ftparchive -o APT::FTPArchive::Release::Suite=$1 \
                      -o APT::FTPArchive::Release::Codename=$1 \
                      -o APT::FTPArchive::Release::Components=main \
                      -o APT::FTPArchive::Release::Architectures=amd64 release . >../.r && \
                      mv ../.r Release && \
                      gpg --homedir \"$2\" --batch --yes --clearsign -o InRelease Release";
        let home = key.home.to_str().unwrap();
        run(&self.folder, &["sh", "-ec", script, "sh", suite, home]);
        Archive::Suite {
            url: self.url.as_str().into(),
            suite: suite.into(),
            components: vec!["main".into()],
        }
    }
}

/// A signing key that nobody else has.
pub struct Key {
    home: PathBuf,
    pub keyring: PathBuf,
}

impl Key {
    /// The key of this folder, made when there is none.
    pub fn new(folder: &Path) -> Self {
        let (home, keyring) = (folder.join("gnupg"), folder.join("test.gpg"));
        if !keyring.exists() {
            std::fs::create_dir_all(&home).unwrap();
            run(folder, &["chmod", "700", "gnupg"]);
            let script = "gpg --homedir gnupg --batch --passphrase '' --quick-gen-key \
                          'Test <test@example.org>' ed25519 sign never && \
                          gpg --homedir gnupg --export >test.gpg";
            run(folder, &["sh", "-ec", script]);
        }
        Self { home, keyring }
    }
}

/// A binary package without any program in it, as `NAME_VERSION_all.deb`.
pub fn binary(into: &Path, name: &str, version: &str) {
    let tree = into.join(format!(".{name}-{version}"));
    let share = tree.join("usr/share").join(name);
    std::fs::create_dir_all(&share).unwrap();
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    std::fs::write(share.join("version"), format!("{version}\n")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMulti-Arch: foreign\n\
         Maintainer: Test <test@example.org>\nDescription: test\n"
    );
    std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let file = format!("{name}_{version}_all.deb");
    let tree = tree.to_str().unwrap();
    run(into, &["dpkg-deb", "--root-owner-group", "-Zxz", "-b", tree, &file]);
    std::fs::remove_dir_all(tree).unwrap();
}

/// A package for all architectures with these further fields, maintainer scripts and other files
/// of its control part, and a tar archive of files that a script makes as `data.tar`.
pub fn crafted(into: &Path, name: &str, fields: &str, control: &[(&str, &str)], data: &str) {
    let tree = into.join(format!(".{name}"));
    std::fs::create_dir_all(tree.join("control")).unwrap();
    let text = format!(
        "Package: {name}\nVersion: 1.0\nArchitecture: all\nMulti-Arch: foreign\n{fields}\
         Maintainer: Test <test@example.org>\nDescription: test\n"
    );
    for (file, text) in [("control", &*text)].iter().chain(control) {
        let path = tree.join("control").join(file);
        std::fs::write(&path, text).unwrap();
        let mode = if *file == "control" { 0o644 } else { 0o755 };
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap();
    }
    run(&tree, &["sh", "-ec", data]);
    let pack = "echo 2.0 >debian-binary && tar -C control --owner=0 --group=0 -cf control.tar . \
                && ar rc \"$1\" debian-binary control.tar data.tar";
    let file = into.join(format!("{name}_1.0_all.deb"));
    run(&tree, &["sh", "-ec", pack, "sh", file.to_str().unwrap()]);
    std::fs::remove_dir_all(tree).unwrap();
}

/// A native source package `NAME_1.0`, made by dpkg-source: `rules` is what its build runs.
pub fn source(into: &Path, name: &str, build_depends: &str, rules: &str) {
    let tree = into.join(format!("{name}-1.0"));
    let debian = tree.join("debian");
    std::fs::create_dir_all(debian.join("source")).unwrap();
    let write = |file: &str, text: &str| std::fs::write(debian.join(file), text).unwrap();
    write("source/format", "3.0 (native)\n");
    write(
        "control",
        &format!(
            "Source: {name}\nSection: misc\nPriority: optional\n\
             Maintainer: Test <test@example.org>\nBuild-Depends: {build_depends}\n\
             Standards-Version: 4.6.2\n\nPackage: {name}\nArchitecture: any\nDescription: test\n \
             test\n"
        ),
    );
    write(
        "changelog",
        &format!(
            "{name} (1.0) unstable; urgency=low\n\n  * Made.\n\n -- Test <test@example.org>  Sat, \
             01 Mar 2025 10:00:00 +0000\n"
        ),
    );
    write("rules", &format!("#!/usr/bin/make -f\n%:\n\tdh $@\n{rules}"));
    run(&debian, &["chmod", "755", "rules"]);
    run(into, &["dpkg-source", "-b", tree.to_str().unwrap()]);
    std::fs::remove_dir_all(tree).unwrap();
}

/// Runs a tool that must succeed, and answers what it printed.
pub fn run(folder: &Path, command: &[&str]) -> String {
    let output = Command::new(command[0])
        .args(&command[1..])
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn serve(mut stream: TcpStream, root: &Path) {
    let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
    loop {
        let Some(Ok(request)) = lines.next() else { return };
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
        let path = path.trim_start_matches("./").replace("%2b", "+").replace("%2B", "+");
        let (status, body) = match std::fs::read(root.join(path)) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}
