use std::path::{Path, PathBuf};

use rebuilder_actors::protocol::{FileDigest, Sha256, Sha512};
use sha2::Digest as _;
use tokio::io::AsyncWriteExt as _;

use super::FetchError;

/// Where an answer's bytes go.
pub(super) enum Body {
    Memory(Vec<u8>),
    File(Box<Partial>),
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(partial) => partial.size,
        }
    }

    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        match self {
            Self::Memory(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
            Self::File(partial) => partial.push(bytes).await,
        }
    }

    /// Forgets what came so far, for a try from the start.
    pub(super) async fn restart(&mut self) -> Result<(), FetchError> {
        match self {
            Self::Memory(all) => {
                all.clear();
                Ok(())
            }
            Self::File(partial) => partial.restart().await,
        }
    }
}

/// A file that is still being written, under a temporary name beside its final one. Dropped
/// without [`Partial::finish`], it is removed.
pub(super) struct Partial {
    size: u64,
    sha256: sha2::Sha256,
    sha512: sha2::Sha512,
    file: tokio::fs::File,
    temporary: tempfile::TempPath,
    to: PathBuf,
}

impl Partial {
    pub(super) fn create(to: &Path) -> Result<Self, FetchError> {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let named = tempfile::Builder::new()
            .prefix(".fetch-")
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(|error| FetchError::io(to, &error))?;
        let (file, temporary) = named.into_parts();
        Ok(Self {
            size: 0,
            sha256: sha2::Sha256::new(),
            sha512: sha2::Sha512::new(),
            file: tokio::fs::File::from_std(file),
            temporary,
            to: to.to_owned(),
        })
    }

    async fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).await.map_err(|error| FetchError::io(&self.to, &error))
    }

    async fn restart(&mut self) -> Result<(), FetchError> {
        use tokio::io::AsyncSeekExt as _;

        if self.size == 0 {
            return Ok(());
        }
        let path = &self.to;
        self.file.flush().await.map_err(|error| FetchError::io(path, &error))?;
        self.file.set_len(0).await.map_err(|error| FetchError::io(path, &error))?;
        self.file.rewind().await.map_err(|error| FetchError::io(path, &error))?;
        self.size = 0;
        self.sha256 = sha2::Sha256::new();
        self.sha512 = sha2::Sha512::new();
        Ok(())
    }

    pub(super) fn digest(&self) -> FileDigest {
        FileDigest {
            size: self.size,
            sha256: Sha256(self.sha256.clone().finalize().into()),
            sha512: Sha512(self.sha512.clone().finalize().into()),
        }
    }

    /// Gives the complete file its final name. Not synced: whoever needs it after a power cut
    /// checks its digest and fetches it again.
    pub(super) async fn finish(mut self) -> Result<FileDigest, FetchError> {
        // tokio's file writes behind: an error of the last write appears here only.
        self.file.flush().await.map_err(|error| FetchError::io(&self.to, &error))?;
        let digest = self.digest();
        self.temporary.persist(&self.to).map_err(|error| FetchError::io(&self.to, &error.error))?;
        Ok(digest)
    }
}
