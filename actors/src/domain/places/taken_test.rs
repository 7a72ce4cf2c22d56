use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn limits() -> PlaceLimits {
    PlaceLimits { places: 10, admins: 2, strangers: 6, key: 2, origin: 4 }
}

fn key(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

fn at(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

struct Harness {
    places: Places,
    next: u64,
}

impl Harness {
    fn new(limits: PlaceLimits) -> Self {
        Self { places: Places::new(limits), next: 0 }
    }

    fn come(&mut self, k: u8, address: u8, standing: Standing) -> Result<Option<u64>, Refusal> {
        self.next += 1;
        let came = self.places.arrive(SessionId(self.next), key(k), at(address), standing);
        came.map(|entry| entry.instead_of.map(|session| session.0))
    }
}

#[test]
fn strangers_are_bounded_by_key_address_and_number() {
    let mut harness = Harness::new(limits());
    assert_eq!(harness.come(1, 1, Standing::Stranger), Ok(None));
    assert_eq!(harness.come(1, 2, Standing::Stranger), Ok(None));
    assert_eq!(harness.come(1, 3, Standing::Stranger), Err(Refusal::Key));
    for k in 2..=4 {
        assert_eq!(harness.come(k, 1, Standing::Stranger), Ok(None));
    }
    assert_eq!(harness.come(5, 1, Standing::Stranger), Err(Refusal::Origin));
    assert_eq!(harness.come(6, 3, Standing::Stranger), Ok(None));
    // Six are there: the address with four of them makes room for another one.
    assert_eq!(harness.come(7, 4, Standing::Stranger), Ok(Some(1)));
    assert_eq!(harness.places.len(), 6);
    harness.places.leave(SessionId(2));
    harness.places.leave(SessionId(2));
    assert_eq!(harness.come(8, 4, Standing::Stranger), Ok(None));
    // Three at the busiest and two here: as many there as here would help nobody.
    assert_eq!(harness.come(9, 4, Standing::Stranger), Err(Refusal::Strangers));
}

#[test]
fn known_keys_get_in_and_strangers_end_for_them() {
    let mut harness = Harness::new(limits());
    for n in 1..=6 {
        harness.come(n, n, Standing::Stranger).unwrap();
    }
    for n in 11..=14 {
        assert_eq!(harness.come(n, 1, Standing::Enrolled), Ok(None));
    }
    for n in 15..=20 {
        let ended = u64::from(n) - 14;
        assert_eq!(harness.come(n, 1, Standing::Enrolled), Ok(Some(ended)));
    }
    assert_eq!(harness.come(21, 1, Standing::Enrolled), Err(Refusal::Full));
    // One of them comes back before its dead connection was noticed.
    assert_eq!(harness.come(11, 1, Standing::Enrolled), Ok(Some(7)));
    assert_eq!(harness.come(22, 9, Standing::Stranger), Err(Refusal::Full));
    // Whatever the others do, an operator gets in.
    assert_eq!(harness.come(1, 1, Standing::Admin), Ok(None));
    assert_eq!(harness.come(1, 1, Standing::Admin), Ok(None));
    assert_eq!(harness.come(1, 1, Standing::Admin), Err(Refusal::Full));
}

#[test]
fn an_enrolled_key_replaces_its_own_oldest_connection() {
    let mut harness = Harness::new(limits());
    assert_eq!(harness.come(1, 1, Standing::Enrolled), Ok(None));
    assert_eq!(harness.come(1, 1, Standing::Enrolled), Ok(None));
    assert_eq!(harness.come(1, 1, Standing::Enrolled), Ok(Some(1)));
    assert_eq!(harness.places.len(), 2);
}

#[test]
fn a_farm_behind_one_address_is_no_abuse_once_it_has_enrolled() {
    let mut harness = Harness::new(PlaceLimits::default());
    for n in 0..300_u64 {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        let (session, key) = (SessionId(n), PublicKey(bytes));
        // Each is a stranger until it proved the secret.
        assert!(harness.places.arrive(session, key, at(1), Standing::Stranger).is_ok(), "{n}");
        harness.places.enrolled(session);
    }
    assert_eq!((harness.places.len(), harness.places.strangers), (300, 0));
    assert!(harness.places.origins.is_empty());
}

proptest! {
    #[test]
    fn counts_are_what_is_there(
        steps in vec((0_u8..12, 0_u8..6, 0_u8..5, any::<prop::sample::Index>()), 1..300),
    ) {
        let mut harness = Harness::new(limits());
        for (k, address, what, which) in steps {
            let standing = [Standing::Admin, Standing::Enrolled, Standing::Stranger];
            match (what, harness.places.taken.len()) {
                (0..3, _) => drop(harness.come(k, address, standing[usize::from(what)])),
                (_, 0) => {}
                (3, len) => {
                    let session = *harness.places.taken.keys().nth(which.index(len)).unwrap();
                    harness.places.leave(session);
                }
                (_, len) => {
                    let session = *harness.places.taken.keys().nth(which.index(len)).unwrap();
                    harness.places.enrolled(session);
                }
            }
            let Places { taken, keys, origins, admins, strangers, limits } = &harness.places;
            let of = |s| taken.values().filter(|place| place.standing == s).count();
            prop_assert_eq!(of(Standing::Admin), *admins);
            prop_assert_eq!(of(Standing::Stranger), *strangers);
            prop_assert_eq!(origins.values().map(BTreeSet::len).sum::<usize>(), *strangers);
            prop_assert_eq!(keys.values().map(BTreeSet::len).sum::<usize>(), taken.len());
            prop_assert!(taken.len() - admins <= limits.places && *admins <= limits.admins);
            prop_assert!(*strangers <= limits.strangers);
            prop_assert!(origins.values().all(|at| at.len() <= limits.origin));
        }
    }
}
