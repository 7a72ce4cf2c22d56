//! The contracts of the ports `Parts` and `Contents`: parts lose what was not synced, or keep
//! something else in its place.

use core::ops::Bound;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rebuilder_actors::port::{BlobError, BlobName, Blobs, Contents, Parts, Source, is_plain_name};
use rebuilder_actors::protocol::Sha256;

use super::disk::{Fate, SimulatedDisk};
use super::random_stream::RandomStream;
use super::world::lock;

/// What a machine has on its disk.
#[derive(Debug, Default)]
pub(super) struct BlobDisk {
    parts: BTreeMap<String, Part>,
    sealed: BTreeMap<Sha256, Bytes>,
    /// Number of the latest owner.
    owner: u64,
}

#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    /// So many survive a power cut as they are.
    synced: usize,
}

/// Contents that one listing gives: so few that collections take several slices in a small world.
const LISTED: usize = 3;
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

/// One owner's way to it.
#[derive(Clone)]
pub(super) struct SimulatedBlobs {
    kept: Arc<Mutex<BlobDisk>>,
    disk: Arc<SimulatedDisk>,
    /// Number of this owner: only the latest may collect.
    owner: u64,
}

impl SimulatedBlobs {
    /// Both halves, as a coordinator has them.
    pub(super) fn open(kept: &Arc<Mutex<BlobDisk>>, disk: &Arc<SimulatedDisk>) -> Blobs {
        let both = Self::of(kept, disk);
        Blobs { parts: Box::new(both.clone()), contents: Box::new(both) }
    }

    /// One half or the other; parts alone are what a worker has.
    pub(super) fn of(kept: &Arc<Mutex<BlobDisk>>, disk: &Arc<SimulatedDisk>) -> Self {
        let mut inside = lock(kept);
        inside.owner += 1;
        Self { kept: kept.clone(), disk: disk.clone(), owner: inside.owner }
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

fn check_name(part: &str) -> Result<(), BlobError> {
    is_plain_name(part).then_some(()).ok_or_else(|| BlobError::Name(part.into()))
}

fn piece(bytes: &[u8], offset: u64, length: usize) -> Bytes {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let to = from.saturating_add(length).min(bytes.len());
    Bytes::copy_from_slice(&bytes[from..to])
}

impl Parts for SimulatedBlobs {
    fn length(&mut self, part: &str) -> Result<u64, BlobError> {
        check_name(part)?;
        self.fate("sync", part)?;
        let mut kept = lock(&self.kept);
        let Some(found) = kept.parts.get_mut(part) else { return Ok(0) };
        found.synced = found.bytes.len();
        Ok(found.synced as u64)
    }

    fn append(&mut self, part: &str, offset: u64, bytes: &[u8]) -> Result<(), BlobError> {
        check_name(part)?;
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

    fn read(&mut self, part: &str, offset: u64, length: usize) -> Result<Option<Bytes>, BlobError> {
        check_name(part)?;
        Ok(lock(&self.kept).parts.get(part).map(|part| piece(&part.bytes, offset, length)))
    }

    fn discard(&mut self, part: &str) -> Result<(), BlobError> {
        check_name(part)?;
        self.fate("remove", part)?;
        lock(&self.kept).parts.remove(part);
        Ok(())
    }

    fn names(&mut self) -> Result<Vec<String>, BlobError> {
        Ok(lock(&self.kept).parts.keys().cloned().collect())
    }

    fn remove(&mut self, part: &str) -> Result<bool, BlobError> {
        check_name(part)?;
        self.fate("remove", part)?;
        let mut kept = lock(&self.kept);
        Ok(kept.owner == self.owner && kept.parts.remove(part).is_some())
    }
}

impl Contents for SimulatedBlobs {
    fn put(
        &mut self,
        digest: Sha256,
        length: u64,
        source: &mut dyn Source,
    ) -> Result<(), BlobError> {
        self.fate("sync", source.name())?;
        let there = lock(&self.kept).sealed.get(&digest).map(|content| content.len() as u64);
        let (found, measured, bytes) = match there {
            Some(there) => (digest, there, None),
            None => {
                let bytes = whole(source)?;
                (Sha256::of(&bytes), bytes.len() as u64, Some(bytes))
            }
        };
        if (found, measured) != (digest, length) {
            let part = source.name().to_owned();
            return Err(BlobError::Mismatch { part, length: measured, found, expected: digest });
        }
        // The empty content is always there, and is not listed.
        if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
            lock(&self.kept).sealed.insert(digest, bytes.into());
        }
        Ok(())
    }

    fn get(
        &mut self,
        digest: Sha256,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, BlobError> {
        if digest == Sha256::of(b"") {
            return Ok(Some(Bytes::new()));
        }
        Ok(lock(&self.kept).sealed.get(&digest).map(|content| piece(content, offset, length)))
    }

    fn list(&mut self, after: Option<Sha256>, limit: usize) -> Result<Vec<Sha256>, BlobError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let kept = lock(&self.kept);
        let digests = kept.sealed.range((from, Bound::Unbounded)).map(|(digest, _)| *digest);
        Ok(digests.take(limit.min(LISTED)).collect())
    }

    fn remove(&mut self, digest: Sha256) -> Result<bool, BlobError> {
        self.fate("remove", "blobs")?;
        let mut kept = lock(&self.kept);
        Ok(kept.owner == self.owner && kept.sealed.remove(&digest).is_some())
    }
}

fn whole(source: &mut dyn Source) -> Result<Vec<u8>, BlobError> {
    let mut bytes = Vec::new();
    loop {
        let piece = source.read(bytes.len() as u64, 1 << 20)?;
        if piece.is_empty() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&piece);
    }
}
