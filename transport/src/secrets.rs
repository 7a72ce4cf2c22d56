use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quinn::{ConnectionId, ConnectionIdGenerator};
use ring::{hkdf, hmac};

/// Everything unpredictable in an endpoint but TLS itself, derived from 32 bytes, so that a
/// seeded endpoint is the same twice.
pub(crate) struct Secrets(hkdf::Prk);

impl Secrets {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, b"rebuilder endpoint v1").extract(seed))
    }

    pub(crate) fn derive(&self, label: &str) -> [u8; 32] {
        let mut out = [0; 32];
        self.0
            .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut out))
            .expect("one block of HKDF is always to be had");
        out
    }

    pub(crate) fn hmac_key(&self, label: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive(label))
    }

    /// The key that seals the tokens of QUIC Retry.
    pub(crate) fn token_key(&self) -> hkdf::Prk {
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&self.derive("retry tokens"))
    }

    pub(crate) fn connection_ids(&self, label: &str) -> ConnectionIds {
        ConnectionIds { key: self.hmac_key(label), next: Arc::default() }
    }
}

/// Connection ids as a keyed function of a counter: nobody else can tell which belong together.
#[derive(Clone)]
pub(crate) struct ConnectionIds {
    key: hmac::Key,
    next: Arc<AtomicU64>,
}

impl ConnectionIds {
    pub(crate) fn take(&self, len: usize) -> ConnectionId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let tag = hmac::sign(&self.key, &count.to_be_bytes());
        ConnectionId::new(&tag.as_ref()[..len])
    }
}

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        self.take(CONNECTION_ID_LEN)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Enough that two never meet in one endpoint; every packet carries it.
const CONNECTION_ID_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_secrets_and_ids() {
        let (one, two, other) =
            (Secrets::new(&[1; 32]), Secrets::new(&[1; 32]), Secrets::new(&[2; 32]));
        assert_eq!(one.derive("a"), two.derive("a"));
        assert_ne!(one.derive("a"), one.derive("b"));
        assert_ne!(one.derive("a"), other.derive("a"));
        let ids = |secrets: &Secrets| {
            let ids = secrets.connection_ids("ids");
            (0..100).map(|_| ids.take(8).to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&one), ids(&two));
        assert_ne!(ids(&one), ids(&other));
        let distinct = ids(&one).into_iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(distinct.len(), 100);
    }
}
