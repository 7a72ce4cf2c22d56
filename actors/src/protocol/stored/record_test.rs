//! What every record must keep to, and values to try it with.

use core::fmt::Debug;

use proptest::prelude::*;

use super::{Record, RecordError, TABLES, Versioned, read, write};
use crate::protocol::{
    Artifact, AttemptId, EnvironmentKnowledge, Epoch, Evidence, Fault, FaultKind, IndexState,
    IndexTrust, InputId, Isolation, JobKey, ReleaseState, Sha256, SignerKind, UtcMillis,
};

/// Checks a record's key and value, both ways, against the bytes that releases wrote.
#[track_caller]
pub(super) fn check<R>(identity: &R::Key, key: &str, record: &R, value: &str)
where
    R: Record + PartialEq + Debug,
    R::Key: PartialEq + Debug,
{
    assert_eq!(hex::encode(R::key(identity)), key);
    assert_eq!(R::parse_key(&R::key(identity)).as_ref(), Ok(identity));
    let mut other = R::key(identity);
    other[0] = b'?';
    assert!(R::parse_key(&other).is_err(), "a key of another table");
    check_value(record, value);
}

/// Checks a value, both ways, and every value that is a few bytes from it.
#[track_caller]
pub(super) fn check_value<R: Versioned + PartialEq + Debug>(record: &R, value: &str) {
    let bytes = write(record).to_vec();
    assert_eq!(hex::encode(&bytes), value);
    assert_eq!(read::<R>(&bytes).as_ref(), Ok(record));
    let mut newer = bytes.clone();
    newer[0] = R::VERSION + 1;
    assert_eq!(read::<R>(&newer), Err(RecordError::Version(R::VERSION + 1)));
    newer[0] = 0;
    assert_eq!(read::<R>(&newer), Err(RecordError::Version(0)));
    newer[0] = R::VERSION;
    newer.push(0);
    assert_eq!(read::<R>(&newer), Err(RecordError::Remainder(1)));
    assert!(read::<R>(&bytes[..bytes.len() - 1]).is_err() && read::<R>(&[]).is_err());
    let changes = prop::collection::vec((1..bytes.len(), any::<u8>()), 1..6);
    proptest!(ProptestConfig::with_cases(200), |(changes in changes)| {
        let mut changed = bytes.clone();
        changes.into_iter().for_each(|(at, byte)| changed[at] = byte);
        // Refused, or a value that is stored and read as itself.
        if let Ok(found) = read::<R>(&changed) {
            prop_assert_eq!(read::<R>(&write(&found)), Ok(found));
        }
    });
}

#[test]
fn no_two_records_share_a_table() {
    let mut tables = TABLES.map(|(table, _)| table);
    tables.sort_unstable();
    assert_eq!(&tables, b"abcdijpqrswz");
}

#[test]
fn an_earlier_value_is_upgraded() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Second {
        name: String,
        size: u64,
    }

    impl Versioned for Second {
        const VERSION: u8 = 2;

        fn upgrade(version: u8, body: &[u8]) -> Result<Self, RecordError> {
            match version {
                1 => Ok(Self { name: super::body_of(body)?, size: 0 }),
                other => Err(RecordError::Version(other)),
            }
        }
    }

    let first = [&[1][..], &postcard::to_allocvec("a").unwrap()].concat();
    let second = Second { name: "a".into(), size: 0 };
    assert_eq!(read::<Second>(&first).as_ref(), Ok(&second));
    assert_eq!(read::<Second>(&write(&second)), Ok(second));
    assert_eq!(read::<Second>(&[1, 1, b'a', 0]), Err(RecordError::Remainder(1)));
    assert_eq!(read::<Second>(&[0, 1, b'a']), Err(RecordError::Version(0)));
    assert_eq!(read::<Second>(&[3, 1, b'a', 0]), Err(RecordError::Version(3)));
}

pub(super) fn digest(byte: u8) -> Sha256 {
    Sha256([byte; 32])
}

pub(super) fn attempt() -> AttemptId {
    AttemptId { job: InputId(2), epoch: Epoch(3) }
}

pub(super) fn fault() -> Fault {
    Fault { kind: FaultKind::OutOfMemory, detail: "d".into() }
}

pub(super) fn evidence() -> Evidence {
    Evidence {
        index: IndexTrust::Signed,
        environment: EnvironmentKnowledge::Recorded,
        isolation: Isolation::Full,
        signer: SignerKind::WorkerKey,
    }
}

pub(super) fn job_key() -> JobKey {
    JobKey {
        distribution: "debian".into(),
        backend: "debian".into(),
        source: "s".into(),
        version: "1.0-1".into(),
        architecture: "amd64".into(),
        input: "i".into(),
    }
}

pub(super) fn artifact() -> Artifact {
    Artifact {
        name: "n".into(),
        version: "1.0-1".into(),
        component: Some("main".into()),
        architecture: "amd64".into(),
        file: "n_1.0-1_amd64.deb".into(),
        url: "u".into(),
        size: Some(300),
        sha256: Some(digest(6)),
    }
}

pub(super) fn index_state() -> IndexState {
    let release =
        ReleaseState { name: "bookworm".into(), sha256: digest(1), date: UtcMillis(1000) };
    IndexState { releases: vec![release], settings: digest(2) }
}
