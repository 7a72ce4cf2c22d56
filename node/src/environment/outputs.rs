use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::Path;

use rebuilder_actors::protocol::{Assignment, FaultKind};

use super::chroot::{Chroot, say};
use crate::backend::{BuildError, matching};
use crate::sandbox;

/// Copies what the build made in `folder` of what the assignment names, whatever it is called, out
/// of its writable layer into `out`.
///
/// Nothing but regular files is opened, no link is followed, no file and not all of them together
/// may be larger than allowed.
pub(crate) async fn collect(
    chroot: &Chroot<'_>,
    folder: &str,
    assignment: &Assignment,
    out: &Path,
) -> Result<(), BuildError> {
    std::fs::create_dir_all(out).map_err(|error| BuildError::io("make", out, &error))?;
    let from = Path::new(folder.trim_start_matches('/'));
    let mut left = chroot.limits.outputs_bytes_max.unwrap_or(u64::MAX);
    let (tree, folder) = (chroot.root.upper.clone(), from.to_owned());
    let artifacts = assignment.artifacts.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let built = matching::look(&tree, &folder, &artifacts)?;
        let found = artifacts.iter().filter_map(|artifact| matching::of(artifact, &built));
        Ok(found.map(|file| file.name.clone()).collect::<BTreeSet<_>>())
    });
    let stopped = |error: tokio::task::JoinError| {
        BuildError::fault(FaultKind::WorkerFailed, format!("cannot look at the outputs: {error}"))
    };
    let names = looked.await.map_err(stopped)?;
    let names = names.map_err(|error: std::io::Error| BuildError::io("list", from, &error))?;
    for artifact in &assignment.artifacts {
        if !names.contains(&*artifact.file) {
            say(chroot.progress, format!("did not make a file called {:?}", artifact.file));
        }
    }
    for name in &names {
        let (tree, path) = (chroot.root.upper.clone(), from.join(name));
        let (to, bytes_max) = (out.join(name), chroot.limits.package_bytes_max.min(left));
        let copied = tokio::task::spawn_blocking(move || copy(&tree, &path, &to, bytes_max));
        let copied = copied.await.map_err(stopped)?;
        match copied {
            Ok(bytes) => {
                left = left.saturating_sub(bytes);
                say(chroot.progress, format!("made {name} ({bytes} bytes)"));
            }
            Err(error) if matching::is_absence(&error) => {
                say(chroot.progress, format!("did not make {name}: {error}"));
            }
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                let detail = format!(
                    "{name} is larger than {bytes_max} bytes, which `package_bytes_max` and \
                     `outputs_bytes_max` leave for it"
                );
                return Err(BuildError::fault(FaultKind::DiskFull, detail));
            }
            Err(error) => return Err(BuildError::io("copy the output", Path::new(name), &error)),
        }
    }
    Ok(())
}

fn copy(tree: &Path, path: &Path, to: &Path, bytes_max: u64) -> std::io::Result<u64> {
    let mut file = sandbox::open_file(tree, path)?;
    if file.metadata()?.len() > bytes_max {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    let mut made = std::fs::File::create_new(to)?;
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(total);
        }
        made.write_all(&buffer[..n])?;
        total += n as u64;
    }
}
