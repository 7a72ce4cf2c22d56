//! An archive that nobody publishes, with as many packages as are asked for.

use std::fmt::Write as _;
use std::path::Path;

use rebuilder_actors::protocol::Sha256;

/// Files of eight jobs in a row: thirteen eighths on average, as in a release of Debian.
const FILES: [usize; 8] = [1, 1, 1, 1, 1, 2, 2, 4];

/// Writes the index of a suite `bench` with `jobs` source packages below `root`. Every published
/// file is said to have the digest of `content`; `None`: each its own.
pub(super) fn write(root: &Path, jobs: usize, content: Option<&[u8]>) -> Result<(), String> {
    let (mut packages, mut sources) = (String::new(), String::new());
    for job in 0..jobs {
        let name = format!("package{job:05}");
        let folder = format!("pool/main/p/{name}");
        for file in 0..if content.is_some() { 1 } else { FILES[job % FILES.len()] } {
            let binary = if file == 0 { name.clone() } else { format!("lib{name}-{file}") };
            let path = format!("{folder}/{binary}_1.2.{job}-1_amd64.deb");
            let sha256 = content.map_or_else(|| Sha256::of(path.as_bytes()), Sha256::of);
            let size = content.map_or(20_000 + job, <[u8]>::len);
            let _ = write!(
                packages,
                "Package: {binary}\nSource: {name}\nVersion: 1.2.{job}-1\nArchitecture: amd64\n\
                 Maintainer: Jo Doe <jo@example.org>\nFilename: {path}\nSize: {size}\n\
                 SHA256: {sha256}\n\n"
            );
        }
        let dsc = Sha256::of(name.as_bytes());
        let _ = write!(
            sources,
            "Package: {name}\nVersion: 1.2.{job}-1\nDirectory: {folder}\nChecksums-Sha256:\n \
             {dsc} 1500 {name}_1.2.{job}-1.dsc\n\n"
        );
    }
    let suite = root.join("dists/bench");
    let mut listed = String::new();
    for (path, text) in [("main/binary-amd64/Packages", packages), ("main/source/Sources", sources)]
    {
        let _ = writeln!(listed, " {} {} {path}", Sha256::of(text.as_bytes()), text.len());
        put(&suite.join(path), text.as_bytes())?;
    }
    let release = format!(
        "Origin: Bench\nSuite: bench\nCodename: bench\nDate: Sat, 10 Jan 2026 10:00:00 UTC\n\
         Architectures: amd64\nComponents: main\nSHA256:\n{listed}"
    );
    put(&suite.join("Release"), release.as_bytes())
}

/// Writes a file and the folders above it.
pub(super) fn put(path: &Path, content: &[u8]) -> Result<(), String> {
    let folder = path.parent().ok_or("a path without a folder")?;
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, content))
        .map_err(|e| format!("write {}: {e}", path.display()))
}
