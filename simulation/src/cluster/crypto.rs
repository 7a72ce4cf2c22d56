//! The cryptography of TLS, with randomness from the seed.
//!
//! ring draws the keys of its key exchange from the system by itself, so the group is another
//! implementation of the same X25519.

use core::cell::RefCell;
use std::sync::Arc;

use rebuilder_transport::crypto;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{PublicKey, StaticSecret};

use super::random::Random;

thread_local! {
    /// rustls takes its randomness from a `static`; a simulation has a thread to itself.
    static CHANCE: RefCell<Option<Random>> = const { RefCell::new(None) };
}

/// Everything random in TLS follows from this seed from now on, in this thread.
pub(super) fn seed(seed: u64) {
    CHANCE.set(Some(Random::new(seed, "tls")));
}

/// The production suites, with seeded randomness.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![&X25519],
        secure_random: &Seeded,
        ..crypto::provider()
    })
}

fn fill(bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
    CHANCE.with_borrow_mut(|chance| {
        chance.as_mut().map(|chance| chance.fill(bytes)).ok_or(GetRandomFailed)
    })
}

#[derive(Debug)]
struct Seeded;

impl SecureRandom for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        fill(bytes)
    }
}

#[derive(Debug)]
struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        let secret = StaticSecret::from(bytes);
        let public = PublicKey::from(&secret);
        Ok(Box::new(Exchange { secret, public }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange {
    secret: StaticSecret,
    public: PublicKey,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let bad = || Error::from(PeerMisbehaved::InvalidKeyShare);
        let peer: [u8; 32] = peer.try_into().map_err(|_| bad())?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(peer));
        // RFC 8446 §7.4.2: a share of small order gives zero.
        if !shared.was_contributory() {
            return Err(bad());
        }
        Ok(SharedSecret::from(&shared.as_bytes()[..]))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }
}
