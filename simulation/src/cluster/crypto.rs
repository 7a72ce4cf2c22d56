//! The cryptography of TLS, with randomness from the seed.
//!
//! ring draws the keys of its key exchange from the system by itself, so the group is another
//! implementation of the same X25519. A world has a few key shares only, each of which many
//! handshakes use: what two of them come to is worked out once, which was a fifth of a world's time
//! otherwise. What differs between connections is their random numbers.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rebuilder_transport::crypto;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{PublicKey, StaticSecret};

use super::random_stream::RandomStream;

/// Key shares of a world.
const SHARES: u64 = 6;

/// Where everything random in TLS comes from.
struct Chance {
    random: RandomStream,
    shares: Vec<Arc<Share>>,
    /// What two public keys, the smaller one first, come to: at most one for each pair of shares.
    agreed: BTreeMap<[[u8; 32]; 2], [u8; 32]>,
}

struct Share {
    secret: StaticSecret,
    public: PublicKey,
}

thread_local! {
    /// rustls takes its randomness from a `static`; a simulation has a thread to itself.
    static CHANCE: RefCell<Option<Chance>> = const { RefCell::new(None) };
}

/// Everything random in TLS follows from this seed from now on, in this thread.
pub(super) fn seed(seed: u64) {
    let mut random = RandomStream::new(seed, "tls");
    let shares = (0..SHARES).map(|_| {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        let secret = StaticSecret::from(bytes);
        Arc::new(Share { public: PublicKey::from(&secret), secret })
    });
    let shares = shares.collect();
    CHANCE.set(Some(Chance { random, shares, agreed: BTreeMap::new() }));
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
    with(|chance| chance.random.fill(bytes))
}

fn with<T>(work: impl FnOnce(&mut Chance) -> T) -> Result<T, GetRandomFailed> {
    CHANCE.with_borrow_mut(|chance| chance.as_mut().map(work).ok_or(GetRandomFailed))
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
        let share = with(|chance| {
            let number = usize::try_from(chance.random.of(0..SHARES)).unwrap_or(0);
            chance.shares[number].clone()
        });
        Ok(Box::new(Exchange(share?)))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange(Arc<Share>);

impl Exchange {
    /// `None` for a share of small order, which gives zero (RFC 8446 §7.4.2).
    fn agree(&self, peer: [u8; 32]) -> Option<[u8; 32]> {
        let shared = self.0.secret.diffie_hellman(&PublicKey::from(peer));
        shared.was_contributory().then(|| shared.to_bytes())
    }
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let bad = || Error::from(PeerMisbehaved::InvalidKeyShare);
        let peer: [u8; 32] = peer.try_into().map_err(|_| bad())?;
        let mut pair = [self.0.public.to_bytes(), peer];
        pair.sort_unstable();
        let shared = with(|chance| {
            // What nobody here made is not kept.
            let ours = chance.shares.iter().any(|share| *share.public.as_bytes() == peer);
            if !ours {
                return self.agree(peer);
            }
            let known = chance.agreed.get(&pair).copied();
            let shared = known.or_else(|| self.agree(peer))?;
            chance.agreed.insert(pair, shared);
            Some(shared)
        })?;
        Ok(SharedSecret::from(&shared.ok_or_else(bad)?[..]))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }

    fn pub_key(&self) -> &[u8] {
        self.0.public.as_bytes()
    }
}
