//! Reads compressed blobs at any offset.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use bytes::Bytes;
use rebuilder_actors::port::BlobError;
use rebuilder_actors::protocol::Sha256;
use sha2::Digest as _;

use super::files::failed;

/// Decoders kept open, of 2 MiB or so each: that many may read on, each where it is, without
/// decompressing from the start.
const OPEN: usize = 4;

/// The decoders that read last, most recent at the end.
#[derive(Debug, Default)]
pub struct Readers(Vec<Reader>);

struct Reader {
    digest: Sha256,
    decoder: zstd::Decoder<'static, BufReader<File>>,
    /// Bytes of the content that were taken from the decoder.
    at: u64,
    /// Of these bytes.
    hash: sha2::Sha256,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.digest, self.at)
    }
}

impl Readers {
    /// Up to `length` bytes of the blob in the file `path` at `offset`; `None` when there is none.
    pub fn read(
        &mut self,
        digest: Sha256,
        path: &Path,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, BlobError> {
        let fits = |reader: &Reader| reader.digest == digest && reader.at <= offset;
        let place = (0..self.0.len()).filter(|i| fits(&self.0[*i])).max_by_key(|i| self.0[*i].at);
        let mut reader = match place {
            Some(place) => self.0.remove(place),
            None => match Reader::open(digest, path) {
                Ok(reader) => reader,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(failed("open", path)(e)),
            },
        };
        let bytes = reader.read(offset, length).map_err(failed("decompress", path))?;
        if self.0.len() == OPEN {
            self.0.remove(0);
        }
        self.0.push(reader);
        Ok(Some(bytes))
    }

    /// Closes what reads the blob `digest`.
    pub fn forget(&mut self, digest: &Sha256) {
        self.0.retain(|reader| reader.digest != *digest);
    }
}

impl Reader {
    fn open(digest: Sha256, path: &Path) -> io::Result<Self> {
        let decoder = zstd::Decoder::new(File::open(path)?)?;
        Ok(Self { digest, decoder, at: 0, hash: sha2::Sha256::new() })
    }

    fn read(&mut self, offset: u64, length: usize) -> io::Result<Bytes> {
        let skip = (&mut self.decoder).take(offset - self.at);
        self.at += io::copy(&mut { skip }, &mut Hashing(&mut self.hash))?;
        if self.at < offset {
            self.check_end()?;
            return Ok(Bytes::new());
        }
        let mut bytes = Vec::new();
        (&mut self.decoder).take(length as u64).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        self.hash.update(&bytes);
        if bytes.len() < length {
            self.check_end()?;
        }
        Ok(bytes.into())
    }

    /// At its end, all that the decoder gave must be what the blob is named by: the checksum of the
    /// compressed frame says nothing of a file that was cut to none, or is another's.
    fn check_end(&self) -> io::Result<()> {
        let found = Sha256(self.hash.clone().finalize().into());
        if found == self.digest {
            return Ok(());
        }
        let text = format!("it is damaged: its content has digest {found}, not that of its name");
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

/// Length of the content of the blob `digest` in the file `path`, all of which is read; `None` when
/// there is none, or it is damaged.
pub fn whole_length(digest: Sha256, path: &Path) -> Result<Option<u64>, BlobError> {
    let mut reader = match Reader::open(digest, path) {
        Ok(reader) => reader,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("open", path)(e)),
    };
    let read = reader.read(u64::MAX, 0);
    // What zstd makes of a damaged file is an error of many kinds; those of the medium have a code.
    match read {
        Ok(_) => Ok(Some(reader.at)),
        Err(e) if e.raw_os_error().is_some() => Err(failed("read", path)(e)),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a damaged blob");
            Ok(None)
        }
    }
}

/// Takes what is written into a digest.
struct Hashing<'a>(&'a mut sha2::Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
