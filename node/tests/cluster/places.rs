//! Places by standing: whoever has rights gets in, whatever those without do.

use rebuilder_actors::protocol::wire::EXPORTER;
use rebuilder_actors::protocol::wire::v1::ctl::Request;
use rebuilder_actors::protocol::wire::{
    CloseCode, Enrolment, EnrolmentKind, Role, enrolment_proof,
};
use rebuilder_transport::Identity;

use crate::harness::{Harness, HarnessSettings};
use crate::peer::{Dialed, offer};

/// A key without rights.
fn stranger(number: u16) -> Identity {
    let mut seed = [0xd7; 32];
    seed[..2].copy_from_slice(&number.to_le_bytes());
    Identity::from_seed(seed)
}

/// Opens `count` connections of ctl that say hello and stay: those that are let in, and the codes
/// and texts of the others.
async fn crowd(
    address: &str,
    count: u16,
    who: impl Fn(u16) -> ([u8; 4], Identity),
) -> (Vec<Dialed>, Vec<String>) {
    let (mut inside, mut refused) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (source, identity) = who(number);
        let came = match Dialed::from(source, address, &identity).await {
            Ok(dialed) => dialed.ctl().await,
            Err(reason) => Err(reason),
        };
        match came {
            Ok(dialed) => inside.push(dialed),
            Err(reason) => {
                assert_eq!(reason.code, CloseCode::Busy as u32, "{reason}");
                refused.push(reason.text);
            }
        }
    }
    (inside, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_have_eight_connections_a_key_and_32_an_address() {
    let harness = Harness::new(HarnessSettings::default());
    let coordinator = harness.coordinator();
    let one = [127, 9, 0, 1];
    let (of_one_key, refused) = crowd(&harness.address, 30, |_| (one, stranger(1))).await;
    assert_eq!((of_one_key.len(), refused.len()), (8, 22));
    assert!(refused[0].contains("this key has no rights here"), "{}", refused[0]);

    // Other keys of that address have the rest of its 32; other addresses have their own.
    let (of_many, refused) = crowd(&harness.address, 60, |n| (one, stranger(100 + n))).await;
    assert_eq!((of_many.len(), refused.len()), (24, 36));
    assert!(refused[0].contains("from this address"), "{}", refused[0]);
    let (elsewhere, _) = crowd(&harness.address, 8, |n| ([127, 9, 0, 2], stranger(200 + n))).await;
    assert_eq!(elsewhere.len(), 8);
    // The key has its eight wherever it comes from.
    let (same_key, _) = crowd(&harness.address, 2, |_| ([127, 9, 0, 3], stranger(1))).await;
    assert_eq!(same_key.len(), 0);

    assert_eq!(harness.ctl().call(&["worker", "ls"]).code, 0, "the admin key gets in");
    let _honest = harness.joined_worker("w1");
    drop(of_one_key);
    // Sixty were refused: a line at once for each kind, and one with a count after some seconds.
    coordinator.until_said(10, 1, "such since the line before");
    let lines = coordinator.said().matches("refused: ").count();
    assert!(lines <= 8, "{lines} lines");
    let again = Dialed::from(one, &harness.address, &stranger(1)).await.unwrap().ctl().await;
    assert!(again.is_ok(), "places that were left are free");
    drop((of_many, elsewhere));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_ends_for_a_worker_where_places_are_short() {
    let harness =
        Harness::new(HarnessSettings { coordinator: "places = 12", ..HarnessSettings::default() });
    let coordinator = harness.coordinator();
    let who = |n: u16| ([127, 9, 1, 1 + (n % 3) as u8], stranger(n));
    let (mut strangers, refused) = crowd(&harness.address, 30, who).await;
    assert_eq!((strangers.len(), refused.len()), (12, 18));
    assert_eq!(harness.ctl().call(&["status"]).code, 0, "admins have places of their own");

    let honest = harness.joined_worker("w1");
    let ended = strangers.remove(0).closed().await;
    assert_eq!(ended.code, CloseCode::Busy as u32, "{ended}");
    assert!(ended.text.contains("its place is needed"), "{ended}");
    coordinator.until_said(5, 1, "one without rights ends for another's");
    let _more = (harness.joined_worker("w2"), harness.joined_worker("w3"));
    assert_eq!(harness.ctl().call(&["status"]).code, 0);
    harness.go("all");
    harness.until_reproduced(30);
    assert!(!honest.said().contains("connection lost"), "{}", honest.said());
    assert!(strangers.last().unwrap().ask(&Request::Status).await.is_some(), "others stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farm_of_300_behind_one_address_gets_in() {
    const SECRET: &str = "correct horse battery staple";
    let line = "signup_secret = \"correct horse battery staple\"";
    let harness = Harness::new(HarnessSettings {
        coordinator: line,
        listed: &["w1"],
        ..HarnessSettings::default()
    });
    let _coordinator = harness.coordinator();
    let coordinator_key = harness.coordinator_key().public_key();
    let mut farm = Vec::new();
    for number in 0..300 {
        let identity = stranger(1000 + number);
        let dialed = Dialed::from([127, 9, 2, 1], &harness.address, &identity).await.unwrap();
        let exporter = dialed.connection.exporter(EXPORTER, b"");
        let key = identity.public_key();
        let proof = enrolment_proof(SECRET.as_bytes(), &exporter, "worker", &key, &coordinator_key);
        let enrolment = Some(Enrolment { kind: EnrolmentKind::SignupSecret, proof });
        let role = Role::Worker { offer: offer(&format!("farm-{number}"), 2), enrolment };
        let (dialed, welcome) = dialed.greet(role).await;
        assert!(welcome.proof.is_some());
        farm.push(dialed);
    }
    let ctl = harness.ctl();
    let workers = ctl.ask(&["worker", "ls"]);
    let connected = workers.as_array().unwrap().iter().filter(|w| w["connected"] == true);
    assert_eq!(connected.count(), 300);
    // Enrolled, they are no strangers: that address has all its places left for those.
    let at = |n| ([127, 9, 2, 1], stranger(5000 + n));
    assert_eq!(crowd(&harness.address, 10, at).await.0.len(), 10);
    drop(farm);
}
