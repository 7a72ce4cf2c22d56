//! Reads compressed blobs at any offset.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use bytes::Bytes;
use rebuilder_actors::port::BlobError;
use rebuilder_actors::protocol::Sha256;

use super::failed;

/// Decoders kept open, of 2 MiB or so each: that many may read on, each where it is, without
/// decompressing from the start.
const OPEN: usize = 4;
/// Enough of a file for the length in its header.
const HEADER: u64 = 18;

/// The decoders that read last, most recent at the end.
#[derive(Debug, Default)]
pub struct Readers(Vec<Reader>);

struct Reader {
    digest: Sha256,
    decoder: zstd::Decoder<'static, BufReader<File>>,
    /// Bytes of the content that were taken from the decoder.
    at: u64,
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
        Ok(Self { digest, decoder: zstd::Decoder::new(File::open(path)?)?, at: 0 })
    }

    fn read(&mut self, offset: u64, length: usize) -> io::Result<Bytes> {
        let skip = (&mut self.decoder).take(offset - self.at);
        self.at += io::copy(&mut { skip }, &mut io::sink())?;
        if self.at < offset {
            return Ok(Bytes::new());
        }
        let mut bytes = Vec::new();
        (&mut self.decoder).take(length as u64).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.into())
    }
}

/// Length of the content of the blob in the file `path`; `None` when there is none.
pub fn length(path: &Path) -> Result<Option<u64>, BlobError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("open", path)(e)),
    };
    let mut header = Vec::new();
    file.take(HEADER).read_to_end(&mut header).map_err(failed("read", path))?;
    match zstd::zstd_safe::get_frame_content_size(&header) {
        Ok(Some(length)) => Ok(Some(length)),
        _ => Err(failed("read the header of", path)(io::Error::other("it is not as written"))),
    }
}
