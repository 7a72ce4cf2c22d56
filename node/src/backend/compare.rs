use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use rebuilder_actors::port::Progress;
use rebuilder_actors::protocol::{
    Artifact, Assignment, Fault, FaultKind, FileDigest, Rebuilt, RemoteFile, Sha256, Sha512, Stage,
};
use sha2::Digest as _;

use super::rebuild::{BuildError, within};
use super::{faults, matching};
use crate::fetch::{FetchError, Fetcher};

/// What comparing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// One entry for each artifact of the assignment, in its order.
    pub rebuilt: Vec<Rebuilt>,
    /// The two files of each artifact that differs and whose published file could be had, by file
    /// name; of several artifacts of one name the first.
    pub pairs: BTreeMap<Box<str>, Pair>,
}

/// Two files of one name that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What was built.
    pub output: PathBuf,
    /// What is published.
    pub published: PathBuf,
}

/// Digests what the folder `outputs` holds of the assignment's artifacts, then fetches into the
/// folder `kept` (made when it is absent) the published files of those that differ from what the
/// index names, or for which it names nothing, or all where the assignment asks for them
/// ([`Assignment::check_published`]). To be called only when the build's processes are
/// gone.
///
/// Files are matched by the package, version and architecture that they say themselves, not by
/// their names (see `matching`). Only regular files count: anything else is as good as absent.
///
/// # Errors
/// Faults only. `InputsUnavailable` when a published file is not the one that the index names: a
/// mirror has altered it, and nobody may take that for a difference of the package. A published
/// file that cannot be fetched is a fault only where the index names no digest, or where the
/// assignment asks for all files.
pub async fn compare(
    assignment: &Assignment,
    outputs: &Path,
    kept: &Path,
    fetcher: &Fetcher,
    progress: &dyn Progress,
) -> Result<Comparison, BuildError> {
    progress.stage(Stage::Compare);
    let secs_max = assignment.limits.stage_secs_max;
    let mut found = Comparison { rebuilt: Vec::new(), pairs: BTreeMap::new() };
    let outputs_of = outputs_of(assignment, outputs, progress);
    let outputs_of = within(Stage::Compare, secs_max, progress, outputs_of).await?;
    for (artifact, (_, output)) in assignment.artifacts.iter().zip(&outputs_of) {
        let (file, output) = (artifact.file.clone(), *output);
        found.rebuilt.push(Rebuilt { file, output, published: None });
    }
    for (number, artifact) in assignment.artifacts.iter().enumerate() {
        let Some(output) = found.rebuilt[number].output else { continue };
        let is_equal = artifact.sha256 == Some(output.sha256);
        if is_equal && !assignment.check_published {
            continue;
        }
        let to = kept.join(number.to_string());
        // Asked to look at the file, nothing is said without it.
        let is_needed = artifact.sha256.is_none() || assignment.check_published;
        let fetch = fetch_published(artifact, &to, is_needed, fetcher);
        let ended = within(Stage::Compare, secs_max, progress, fetch).await;
        let Some(published) = published(ended, is_needed, progress)? else { continue };
        found.rebuilt[number].published = Some(published);
        let path = to.join(&*artifact.file);
        if published.sha256 == output.sha256 {
            tokio::fs::remove_file(&path)
                .await
                .map_err(|error| BuildError::io("remove", &path, &error))?;
        } else {
            let pair = Pair { output: outputs.join(&outputs_of[number].0), published: path };
            found.pairs.entry(artifact.file.clone()).or_insert(pair);
        }
    }
    Ok(found)
}

/// For each artifact the name of the file that was built, and its digest; `None`: it was not built.
/// A file of the artifact's own name and digest needs no further look; else it is looked for by
/// what the built files say of themselves.
async fn outputs_of(
    assignment: &Assignment,
    outputs: &Path,
    progress: &dyn Progress,
) -> Result<Vec<(String, Option<FileDigest>)>, BuildError> {
    let mut found = Vec::new();
    let mut built = None;
    for artifact in &assignment.artifacts {
        let own = digest_output(outputs, &artifact.file, progress).await?;
        if own.is_some_and(|own| Some(own.sha256) == artifact.sha256) {
            found.push((String::from(&*artifact.file), own));
            continue;
        }
        if built.is_none() {
            let (folder, artifacts) = (outputs.to_owned(), assignment.artifacts.clone());
            let looked = tokio::task::spawn_blocking(move || {
                matching::look(&folder, Path::new(""), &artifacts)
                    .map_err(|error| BuildError::io("look at", &folder, &error))
            });
            built = Some(looked.await.unwrap_or_else(|error| {
                Err(BuildError::fault(FaultKind::WorkerFailed, error.to_string()))
            })?);
        }
        let file = matching::of(artifact, built.as_deref().unwrap_or_default());
        match file.map(|file| file.name.clone()).filter(|name| **name != *artifact.file) {
            None => found.push((String::from(&*artifact.file), own)),
            Some(name) => {
                say(progress, &format!("{name} is what is published as {}", artifact.file));
                let output = digest_output(outputs, &name, progress).await?;
                found.push((name, output));
            }
        }
    }
    Ok(found)
}

/// Whether `name` names a file directly in a folder, whatever the folder.
pub(super) fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains(['/', '\0'])
}

/// The inner error says why the file cannot be had, where nothing depends on it.
async fn fetch_published(
    artifact: &Artifact,
    folder: &Path,
    is_needed: bool,
    fetcher: &Fetcher,
) -> Result<Result<FileDigest, String>, BuildError> {
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(|error| BuildError::io("make the folder", folder, &error))?;
    let bytes_max = match (artifact.size, artifact.sha256) {
        // Another length is to be told by the digest that it has.
        (Some(size), Some(_)) => size.saturating_add(ALTERED_BYTES_MAX),
        (Some(size), None) => size,
        (None, _) => PUBLISHED_BYTES_MAX,
    };
    let file = RemoteFile {
        url: artifact.url.clone(),
        size: if artifact.sha256.is_some() { None } else { artifact.size },
        sha256: artifact.sha256,
    };
    let to = folder.join(&*artifact.file);
    let error = match fetcher.to_file(&file, bytes_max, &to).await {
        Ok(digest) => return Ok(Ok(digest)),
        Err(error) => error,
    };
    let is_other_file = match error {
        FetchError::Mismatch { .. } => true,
        FetchError::TooLarge { .. } => artifact.size.is_some(),
        _ => false,
    };
    let detail = format!("published file {}: {error}", artifact.file);
    if !is_needed && !is_other_file {
        // The digest is known without it: that the file cannot be had is no obstacle.
        return Ok(Err(detail));
    }
    Err(BuildError::fault(faults::of_fetch(&error), detail))
}

/// Takes what a fetch ended with into the log; a file that is not needed, since the index names its
/// digest, may also take too long.
fn published(
    fetched: Result<Result<FileDigest, String>, BuildError>,
    is_needed: bool,
    progress: &dyn Progress,
) -> Result<Option<FileDigest>, BuildError> {
    match fetched {
        Ok(Ok(digest)) => Ok(Some(digest)),
        Ok(Err(detail))
        | Err(BuildError::Fault(Fault { kind: FaultKind::TimedOut(_), detail }))
            if !is_needed =>
        {
            say(progress, &format!("no difference will be shown: {detail}"));
            Ok(None)
        }
        Ok(Err(detail)) => Err(BuildError::fault(FaultKind::FetchFailed, detail)),
        Err(ended) => {
            if let BuildError::Fault(fault) = &ended {
                say(progress, &fault.detail);
            }
            Err(ended)
        }
    }
}

enum Output {
    File(FileDigest),
    Missing,
    /// Something that is not a regular file: what.
    Other(&'static str),
}

/// `None`: there is no regular file of this name.
async fn digest_output(
    outputs: &Path,
    name: &str,
    progress: &dyn Progress,
) -> Result<Option<FileDigest>, BuildError> {
    if !is_file_name(name) {
        let detail = format!("artifact `{name}` is not the name of a file");
        return Err(BuildError::fault(FaultKind::InputsUnavailable, detail));
    }
    let path = outputs.join(name);
    let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop.0);
    let task = tokio::task::spawn_blocking(move || {
        digest_file(&path, &stopped).map_err(|error| BuildError::io("read", &path, &error))
    });
    let digested = task.await;
    drop(stop);
    let failed = |error: tokio::task::JoinError| {
        BuildError::fault(FaultKind::WorkerFailed, error.to_string())
    };
    Ok(match digested.map_err(failed)?? {
        Output::File(digest) => Some(digest),
        Output::Missing => None,
        Output::Other(what) => {
            say(progress, &format!("{name} is {what}: not compared"));
            None
        }
    })
}

/// Ends the reading of a file whose digest nobody waits for any more (a hostile build can leave one
/// of any apparent length).
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn digest_file(path: &Path, stopped: &AtomicBool) -> std::io::Result<Output> {
    use std::os::unix::fs::OpenOptionsExt as _;

    // Not blocking: a named pipe would wait for a writer for ever.
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => {
            return match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ENOENT) => Ok(Output::Missing),
                Some(Errno::ELOOP) => Ok(Output::Other("a symbolic link")),
                Some(Errno::ENXIO | Errno::ENODEV) => Ok(Output::Other("a socket or a device")),
                _ => Err(error),
            };
        }
    };
    if !file.metadata()?.is_file() {
        return Ok(Output::Other("not a regular file"));
    }
    let mut size = 0;
    let mut sha256 = sha2::Sha256::new();
    let mut sha512 = sha2::Sha512::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if stopped.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("nobody waits for it any more"));
        }
        sha256.update(&buffer[..length]);
        sha512.update(&buffer[..length]);
        size += length as u64;
    }
    Ok(Output::File(FileDigest {
        size,
        sha256: Sha256(sha256.finalize().into()),
        sha512: Sha512(sha512.finalize().into()),
    }))
}

fn say(progress: &dyn Progress, line: &str) {
    progress.log(format!("rebuilder: {line}\n").as_bytes());
}

/// Bytes of a published file whose size no index names: more than any package has, less than a
/// worker's disk.
const PUBLISHED_BYTES_MAX: u64 = 16 << 30;

/// Bytes beyond the index's size that are fetched to name the digest of an altered file.
const ALTERED_BYTES_MAX: u64 = 16 << 20;
