//! The contract of the port `Blobs`: parts lose what was not synced, or keep something else in its
//! place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rebuilder_actors::port::{BlobError, BlobName, Blobs};
use rebuilder_actors::protocol::Sha256;

use super::disk::{Fate, SimulatedDisk};
use super::random_stream::RandomStream;
use super::world::lock;

/// What a machine has on its disk.
#[derive(Debug, Default)]
pub(super) struct BlobDisk {
    parts: BTreeMap<String, Part>,
    sealed: BTreeMap<Sha256, Bytes>,
}

#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    /// So many survive a power cut as they are.
    synced: usize,
}

/// A medium writes so much at once.
const SECTOR: usize = 512;

impl BlobDisk {
    /// Bytes of a part, written or not.
    pub(super) fn length(&self, part: &str) -> u64 {
        self.parts.get(part).map_or(0, |part| part.bytes.len() as u64)
    }

    /// True when a blob with this digest is kept.
    pub(super) fn has(&self, digest: &Sha256) -> bool {
        self.sealed.contains_key(digest)
    }

    /// The first that is not `named`; `None`: all are.
    pub(super) fn unnamed(&self, named: impl Fn(BlobName<'_>) -> bool) -> Option<String> {
        let sealed = self.sealed.keys().find(|digest| !named(BlobName::Sealed(**digest)));
        let part = || self.parts.keys().find(|part| !named(BlobName::Part(part))).cloned();
        sealed.map(ToString::to_string).or_else(part)
    }

    /// The power went: each part keeps any length from what was synced on, and some sectors of the
    /// rest were never written.
    pub(super) fn power_cut(&mut self, random: &mut RandomStream) {
        self.parts.retain(|_, part| {
            let length = random.count(part.synced..part.bytes.len() + 1);
            part.bytes.truncate(length);
            for sector in part.bytes[part.synced..].chunks_mut(SECTOR) {
                if random.percent(20) {
                    sector.fill(0);
                }
            }
            part.synced = part.bytes.len();
            part.synced > 0
        });
    }
}

/// One process' way to it.
pub(super) struct SimulatedBlobs {
    kept: Arc<Mutex<BlobDisk>>,
    disk: Arc<SimulatedDisk>,
}

impl SimulatedBlobs {
    pub(super) fn open(kept: &Arc<Mutex<BlobDisk>>, disk: &Arc<SimulatedDisk>) -> Self {
        Self { kept: kept.clone(), disk: disk.clone() }
    }

    fn fate(&self, action: &'static str, part: &str) -> Result<(), BlobError> {
        match self.disk.write() {
            Fate::Good => Ok(()),
            Fate::Full => Err(BlobError::Full { path: part.into() }),
            Fate::Error | Fate::PowerCut => Err(BlobError::Io {
                action,
                path: part.into(),
                reason: "input/output error".into(),
            }),
        }
    }
}

fn piece(bytes: &[u8], offset: u64, length: usize) -> Bytes {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let to = from.saturating_add(length).min(bytes.len());
    Bytes::copy_from_slice(&bytes[from..to])
}

impl Blobs for SimulatedBlobs {
    fn part_length(&mut self, part: &str) -> Result<u64, BlobError> {
        self.fate("sync", part)?;
        let mut kept = lock(&self.kept);
        let Some(found) = kept.parts.get_mut(part) else { return Ok(0) };
        found.synced = found.bytes.len();
        Ok(found.synced as u64)
    }

    fn append(&mut self, part: &str, offset: u64, bytes: &[u8]) -> Result<(), BlobError> {
        let length = lock(&self.kept).length(part);
        if offset > length {
            return Err(BlobError::Gap { part: part.into(), length, offset });
        }
        let known = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let Some(new) = bytes.get(known..).filter(|new| !new.is_empty()) else { return Ok(()) };
        let fate = self.fate("write", part);
        let there = if fate.is_ok() { new.len() } else { self.disk.survivors(new.len()) };
        // A failed write is taken back by the process, unless that is gone.
        if fate.is_ok() || self.disk.scope.is_over() {
            let mut kept = lock(&self.kept);
            kept.parts.entry(part.into()).or_default().bytes.extend_from_slice(&new[..there]);
        }
        fate
    }

    fn seal(&mut self, part: &str, digest: Sha256, length: u64) -> Result<(), BlobError> {
        self.fate("sync", part)?;
        let mut kept = lock(&self.kept);
        let kept = &mut *kept;
        let bytes = kept.parts.remove(part).map(|part| part.bytes).unwrap_or_default();
        if let Some(there) = kept.sealed.get(&digest) {
            let there = there.len() as u64;
            let sound = there == length;
            return sound.then_some(()).ok_or(mismatch(part, digest, digest, there));
        }
        let (found, measured) = (Sha256::of(&bytes), bytes.len() as u64);
        if (found, measured) != (digest, length) {
            return Err(mismatch(part, digest, found, measured));
        }
        kept.sealed.insert(digest, bytes.into());
        Ok(())
    }

    fn discard(&mut self, part: &str) -> Result<(), BlobError> {
        self.fate("remove", part)?;
        lock(&self.kept).parts.remove(part);
        Ok(())
    }

    fn read(
        &mut self,
        blob: BlobName<'_>,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, BlobError> {
        let kept = lock(&self.kept);
        Ok(match blob {
            BlobName::Sealed(digest) if digest == Sha256::of(b"") => Some(Bytes::new()),
            BlobName::Sealed(digest) => kept.sealed.get(&digest).map(|b| piece(b, offset, length)),
            BlobName::Part(part) => kept.parts.get(part).map(|p| piece(&p.bytes, offset, length)),
        })
    }

    fn collect(&mut self, keep: &dyn Fn(BlobName<'_>) -> bool) -> Result<u64, BlobError> {
        self.fate("remove", "blobs")?;
        let mut kept = lock(&self.kept);
        let before = kept.sealed.len() + kept.parts.len();
        kept.sealed.retain(|digest, _| keep(BlobName::Sealed(*digest)));
        kept.parts.retain(|part, _| keep(BlobName::Part(part)));
        Ok((before - kept.sealed.len() - kept.parts.len()) as u64)
    }
}

fn mismatch(part: &str, expected: Sha256, found: Sha256, length: u64) -> BlobError {
    BlobError::Mismatch { part: part.into(), length, found, expected }
}
