//! Makes the file system that the command sees, with the host's root rights, in a mount namespace
//! that nobody else is in.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, fchdir, pivot_root};

use super::super::spec::{Network, Root, SandboxError, Spec};
use super::devices;
use super::view::{View, open_path, reach};

/// Builds it all and makes it `/`; the host's file system is then out of reach.
pub(super) fn build(spec: &Spec, id_base: u32) -> Result<(), SandboxError> {
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .map_err(|error| SandboxError::new("keep mounts to ourselves", error))?;
    let view = lay(&spec.root, id_base)?;
    devices::build(&view, id_base)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    view.mount("proc", "/proc", flags, "")?;
    if view.find(Path::new("/sys")).is_ok() {
        // Nothing to read, and no place to write, where programs look for the machine's devices.
        view.mount("tmpfs", "/sys", flags | MsFlags::MS_RDONLY, "mode=755,size=4k")?;
    }
    if spec.network == Network::Host {
        let names = Path::new("/etc/resolv.conf");
        if names.exists() {
            view.bind(names, names, true)?;
        }
    }
    for bind in &spec.binds {
        view.bind(&bind.source, &bind.target, bind.read_only)?;
    }
    enter(&view)
}

/// Mounts the layers, over the folder `work`, which only this mount namespace then sees so.
fn lay(root: &Root, id_base: u32) -> Result<View, SandboxError> {
    make(&root.upper, Some(id_base))?;
    make(&root.work, None)?;
    // What a run without syncs leaves behind (see below) would forbid to mount the layer again.
    match fs::remove_dir_all(root.work.join("work/incompat")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SandboxError::new(format!("empty {}", root.work.display()), error));
        }
        _ => {}
    }
    let lowers = root.lowers.iter().map(|lower| open_path(lower)).collect::<Result<Vec<_>, _>>()?;
    let (upper, work) = (open_path(&root.upper)?, open_path(&root.work)?);
    let lower: Vec<String> =
        lowers.iter().map(|lower| reach(lower).display().to_string()).collect();
    // Nothing written is worth a sync: what a power cut interrupts is built anew.
    let options = format!(
        "lowerdir={},upperdir={},workdir={},index=off,metacopy=off,redirect_dir=on,volatile",
        lower.join(":"),
        reach(&upper).display(),
        reach(&work).display(),
    );
    mount(Some("overlay"), &reach(&work), Some("overlay"), MsFlags::MS_NODEV, Some(&*options))
        .map_err(|error| {
            SandboxError::new(format!("mount the layers of {}", root.upper.display()), error)
        })?;
    View::open(&root.work, id_base)
}

/// A folder for a layer; one that still belongs to the host's root is handed to root inside.
fn make(folder: &Path, owner: Option<u32>) -> Result<(), SandboxError> {
    let failed = |error| SandboxError::new(format!("make {}", folder.display()), error);
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let Some(id) = owner else { return Ok(()) };
    if fs::symlink_metadata(folder).map_err(failed)?.uid() == 0 {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .and_then(|()| lchown(folder, Some(id), Some(id)))
            .map_err(failed)?;
    }
    Ok(())
}

fn enter(view: &View) -> Result<(), SandboxError> {
    // The old root is stacked on the new one by the first call and taken away by the next.
    fchdir(view.root())
        .and_then(|()| pivot_root(".", "."))
        .and_then(|()| umount2(".", MntFlags::MNT_DETACH))
        .and_then(|()| chdir("/"))
        .map_err(|error| SandboxError::new("leave the host's file system", error))
}
