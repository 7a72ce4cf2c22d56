use std::path::Path;

use rebuilder_actors::port::Progress;
use rebuilder_actors::protocol::text::counted_len;
use rebuilder_actors::protocol::{FaultKind, RemoteFile, Sha256};

use crate::backend::BuildError;
use crate::distribution::debian::format::SourceControl;
use crate::distribution::debian::format::names;
use crate::environment::say;
use crate::fetch::{Fetcher, percent_decode};

/// A source package that was fetched into a folder.
pub(super) struct Source {
    /// What its `.dsc` says.
    pub(super) control: SourceControl,
    /// File name of the `.dsc`.
    pub(super) dsc: String,
    /// Digest of the `.dsc`.
    pub(super) sha256: Sha256,
}

/// Fetches a `.dsc` and what it names beside it, each checked against the digest that names it.
pub(super) async fn fetch(
    fetcher: &Fetcher,
    remote: &RemoteFile,
    file_bytes_max: u64,
    into: &Path,
    progress: &dyn Progress,
) -> Result<Source, BuildError> {
    let unusable = |what: String| BuildError::fault(FaultKind::InputsUnavailable, what);
    let (folder, segment) = remote
        .url
        .rsplit_once('/')
        .ok_or_else(|| unusable(format!("{} is not the URL of a file", remote.url)))?;
    let dsc = percent_decode(segment).and_then(|bytes| String::from_utf8(bytes).ok());
    let dsc = dsc.filter(|name| name.ends_with(".dsc") && names::file(name).is_ok());
    let dsc = dsc.ok_or_else(|| unusable(format!("{} is not the URL of a .dsc", remote.url)))?;
    let path = into.join(&dsc);
    let digest = fetcher.to_file(remote, DSC_BYTES_MAX, &path).await?;
    let bytes =
        tokio::fs::read(&path).await.map_err(|error| BuildError::io("read", &path, &error))?;
    let control = SourceControl::parse(&bytes)
        .map_err(|error| unusable(format!("{} is not usable: {error}", remote.url)))?;
    let mut total = 0;
    for file in &control.files {
        let url = format!("{folder}/{}", file.name.replace('%', "%25"));
        let named =
            RemoteFile { url: url.into(), size: Some(file.size), sha256: Some(file.sha256) };
        let to = into.join(&file.name);
        fetcher.to_file(&named, file_bytes_max, &to).await?;
        total += file.size;
    }
    let (name, version, files) = (&control.source, &control.version, control.files.len());
    let files = counted_len(files, "file");
    say(progress, format!("source {name} {version}: {files}, {total} bytes"));
    Ok(Source { control, dsc, sha256: digest.sha256 })
}

/// Largest `.dsc` that is read; the largest of Debian have 300 KiB.
const DSC_BYTES_MAX: u64 = 4 << 20;
