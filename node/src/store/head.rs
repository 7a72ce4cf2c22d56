//! The head of the store's chains, in a small file outside the engine's (docs/damage.md).
//!
//! Two slots of 512 bytes, written in turn in place, each with a digest of its own. A commit is
//! durable in the engine before its slot is written, and the slot is not synced: after a power cut
//! the file may be behind the engine. It is never ahead.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rebuilder_actors::port::StoreError;
use rebuilder_actors::protocol::Sha256;
use rebuilder_actors::protocol::stored::{ChainRecord, SumsRecord};

use super::sums::CHAINED;
use crate::data_dir::io_error;
use crate::durable;

const MAGIC: &[u8; 8] = b"rb-head\x01";
/// A slot is one sector: drives write it whole or not at all.
const SLOT: usize = 512;
/// Magic, generation, digest of the sums, count and head of both chains.
const BODY: usize = 8 + 8 + 32 + 2 * 40;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the last commit; 0: the sums are about to be made.
    pub generation: u64,
    /// Digest of the stored [`SumsRecord`] of that generation.
    pub sums: Sha256,
    /// In the order of [`CHAINED`].
    pub chains: [ChainRecord; 2],
}

impl Head {
    /// Before the first sums.
    pub const BIRTH: Self = Self {
        generation: 0,
        sums: Sha256([0; 32]),
        chains: [ChainRecord { count: 0, head: Sha256([0; 32]) }; 2],
    };

    /// The head that belongs to `sums`, of which `written` is the record.
    pub fn of(sums: &SumsRecord, written: &[u8]) -> Self {
        let chains = CHAINED.map(|table| sums.chains.get(&table).copied().unwrap_or_default());
        let digest = Sha256::of(written);
        Self { generation: sums.generation, sums: digest, chains }
    }

    fn encode(&self) -> [u8; SLOT] {
        let mut slot = Vec::with_capacity(SLOT);
        slot.extend_from_slice(MAGIC);
        slot.extend_from_slice(&self.generation.to_le_bytes());
        slot.extend_from_slice(&self.sums.0);
        for chain in self.chains {
            slot.extend_from_slice(&chain.count.to_le_bytes());
            slot.extend_from_slice(&chain.head.0);
        }
        slot.extend_from_slice(&Sha256::of(&slot).0);
        slot.resize(SLOT, 0);
        slot.try_into().expect("it was made that long")
    }

    fn decode(slot: &[u8]) -> Option<Self> {
        let (body, rest) = slot.split_at_checked(BODY)?;
        let digest = rest.first_chunk::<32>()?;
        if !body.starts_with(MAGIC) || Sha256::of(body).0 != *digest {
            return None;
        }
        let number = |at: usize| {
            let bytes = body[at..].first_chunk::<8>().expect("the body is long enough");
            u64::from_le_bytes(*bytes)
        };
        let digest =
            |at: usize| Sha256(*body[at..].first_chunk::<32>().expect("the body is long enough"));
        let chain = |at: usize| ChainRecord { count: number(at), head: digest(at + 8) };
        Some(Self { generation: number(8), sums: digest(16), chains: [chain(48), chain(88)] })
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no file: the data directory is new, or a release without sums wrote it.
    Absent,
    /// At least this: both slots are whole.
    At(Head),
    /// More than this: the other slot was being written, or is damaged. If it was being written,
    /// the engine is ahead of this one.
    After(Head),
    /// The file does not have its length, or neither slot is whole.
    Malformed,
}

impl Found {
    /// Links of both chains that it knows of.
    pub fn lengths(&self) -> [u64; 2] {
        match self {
            Self::At(head) | Self::After(head) => head.chains.map(|chain| chain.count),
            Self::Absent | Self::Malformed => [0; 2],
        }
    }
}

/// The file, open for writing.
#[derive(Debug)]
pub struct HeadFile {
    file: File,
    path: PathBuf,
}

impl HeadFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The medium failed.
    pub fn read(path: &Path) -> Result<Found, StoreError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(e) => return Err(io_error("open", path, &e)),
        };
        let mut bytes = Vec::new();
        let limit = 2 * SLOT as u64 + 1;
        let read = (&mut file).take(limit).read_to_end(&mut bytes);
        read.map_err(|e| io_error("read", path, &e))?;
        if bytes.len() != 2 * SLOT {
            return Ok(Found::Malformed);
        }
        let (first, second) = bytes.split_at(SLOT);
        Ok(match (Head::decode(first), Head::decode(second)) {
            (Some(a), Some(b)) => Found::At(if a.generation > b.generation { a } else { b }),
            (Some(one), None) | (None, Some(one)) => Found::After(one),
            (None, None) => Found::Malformed,
        })
    }

    /// Makes the file anew, durably, with `head` in both slots.
    ///
    /// # Errors
    /// The medium failed.
    pub fn create(path: &Path, head: &Head) -> Result<Self, StoreError> {
        let fresh = path.with_extension("head.new");
        let slot = head.encode();
        durable::write_synced(&fresh, &[&slot, &slot])
            .map_err(|e| io_error("write", &fresh, &e))?;
        let folder = path.parent().expect("the file lies in the data directory");
        std::fs::rename(&fresh, path)
            .and_then(|()| durable::sync_dir(folder))
            .map_err(|e| io_error("create", path, &e))?;
        let file = OpenOptions::new().write(true).mode(0o640).open(path);
        let file = file.map_err(|e| io_error("open", path, &e))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes the head of a commit that is durable. Not synced: see the module.
    ///
    /// # Errors
    /// The medium failed.
    pub fn write(&self, head: &Head) -> Result<(), StoreError> {
        let slot = head.generation % 2;
        self.file
            .write_all_at(&head.encode(), slot * SLOT as u64)
            .map_err(|e| io_error("write", &self.path, &e))
    }
}

impl Drop for HeadFile {
    fn drop(&mut self) {
        // A clean end leaves the head at the last commit, whatever becomes of the machine.
        let _ = self.file.sync_data();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(generation: u64) -> Head {
        let chain = |n| ChainRecord { count: n, head: Sha256([3; 32]) };
        Head { generation, sums: Sha256([9; 32]), chains: [chain(generation), chain(7)] }
    }

    #[test]
    fn the_newest_of_two_slots_counts() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("store.head");
        assert_eq!(HeadFile::read(&path).unwrap(), Found::Absent);
        let file = HeadFile::create(&path, &head(1)).unwrap();
        for generation in 2..5 {
            file.write(&head(generation)).unwrap();
            assert_eq!(HeadFile::read(&path).unwrap(), Found::At(head(generation)));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_length_is_seen_or_lies_in_the_padding() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("store.head");
        let file = HeadFile::create(&path, &head(4)).unwrap();
        file.write(&head(5)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            let expected = match (bit / 8 / SLOT, bit / 8 % SLOT < BODY + 32) {
                (_, false) => Found::At(head(5)),
                (0, true) => Found::After(head(5)),
                (_, true) => Found::After(head(4)),
            };
            assert_eq!(HeadFile::read(&path).unwrap(), expected, "bit {bit}");
        }
        for length in (0..whole.len()).chain([whole.len() + 1]) {
            let mut bytes = whole.clone();
            bytes.resize(length, 0);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(HeadFile::read(&path).unwrap(), Found::Malformed, "{length} bytes");
        }
    }
}
