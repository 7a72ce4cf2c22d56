use crate::protocol::{BuildId, InputId, PublicKey};

/// What tells one record of a table from the others, as bytes after the table's. Numbers are
/// big-endian, so that a scan is in their order.
pub trait StoredKey: Sized {
    /// Writes it at the end of `key`.
    fn append_to(&self, key: &mut Vec<u8>);

    /// Reads all of it; `None`: no release wrote this.
    fn parse(identity: &[u8]) -> Option<Self>;
}

/// Of the one record of a table.
impl StoredKey for () {
    fn append_to(&self, _key: &mut Vec<u8>) {}

    fn parse(identity: &[u8]) -> Option<Self> {
        identity.is_empty().then_some(())
    }
}

impl<const N: usize> StoredKey for [u8; N] {
    fn append_to(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(self);
    }

    fn parse(identity: &[u8]) -> Option<Self> {
        identity.try_into().ok()
    }
}

impl StoredKey for PublicKey {
    fn append_to(&self, key: &mut Vec<u8>) {
        self.0.append_to(key);
    }

    fn parse(identity: &[u8]) -> Option<Self> {
        StoredKey::parse(identity).map(Self)
    }
}

impl StoredKey for u64 {
    fn append_to(&self, key: &mut Vec<u8>) {
        self.to_be_bytes().append_to(key);
    }

    fn parse(identity: &[u8]) -> Option<Self> {
        StoredKey::parse(identity).map(Self::from_be_bytes)
    }
}

impl StoredKey for i32 {
    fn append_to(&self, key: &mut Vec<u8>) {
        self.to_be_bytes().append_to(key);
    }

    fn parse(identity: &[u8]) -> Option<Self> {
        StoredKey::parse(identity).map(Self::from_be_bytes)
    }
}

impl StoredKey for InputId {
    fn append_to(&self, key: &mut Vec<u8>) {
        self.0.append_to(key);
    }

    fn parse(identity: &[u8]) -> Option<Self> {
        StoredKey::parse(identity).map(Self)
    }
}

impl StoredKey for Box<str> {
    fn append_to(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(self.as_bytes());
    }

    fn parse(identity: &[u8]) -> Option<Self> {
        core::str::from_utf8(identity).ok().map(Into::into)
    }
}

impl StoredKey for (BuildId, Box<str>) {
    fn append_to(&self, key: &mut Vec<u8>) {
        self.0.0.append_to(key);
        self.1.append_to(key);
    }

    fn parse(identity: &[u8]) -> Option<Self> {
        let (build, file) = identity.split_first_chunk::<4>()?;
        Some((BuildId(i32::from_be_bytes(*build)), StoredKey::parse(file)?))
    }
}
