use super::harness::{HOUR, Harness, START, assignments, good, groups, key, offer, public};
use crate::domain::queue::{Effects, EnrolmentRules, Event, Join, Order, Send, Settings};
use crate::port::Signer as _;
use crate::protocol::Sha256;
use crate::protocol::stored::{EnrolledBy, StoredPlace};
use crate::protocol::wire::v1::coordinator::Answer;
use crate::protocol::wire::v1::ctl::{RefusalCode, Response};
use crate::protocol::wire::{CloseCode, Enrolment, EnrolmentKind, enrolment_proof};

const SECRET: &[u8] = b"a secret of twenty-four bytes or more";

fn settings() -> Settings {
    let enrolment = EnrolmentRules {
        coordinator: key(99).public_key(),
        authorized: [public(1)].into(),
        signup_secret: Some(SECRET.to_vec()),
    };
    Settings { enrolment, ..Settings::default() }
}

fn prove(join: &mut Join, kind: EnrolmentKind, secret: &[u8]) {
    let proof = enrolment_proof(secret, &join.exporter, "worker", &join.worker, &public(99));
    join.enrolment = Some(Enrolment { kind, proof });
}

/// `Ok` with the coordinator's proof, or the code of the close.
fn outcome(effects: &Effects) -> Result<Option<Sha256>, CloseCode> {
    match effects.sends.last() {
        Some(Send::Admit { proof, .. }) => Ok(*proof),
        Some(Send::Close { code, .. }) => Err(*code),
        other => panic!("{other:?}"),
    }
}

fn knock(
    harness: &mut Harness,
    worker: u8,
    secret: Option<(EnrolmentKind, &[u8])>,
) -> Result<Option<Sha256>, CloseCode> {
    let mut join = harness.hello(worker, 1, offer(1));
    if let Some((kind, secret)) = secret {
        prove(&mut join, kind, secret);
    }
    outcome(&harness.handle(Event::Joined(Box::new(join))))
}

#[test]
fn a_listed_key_needs_no_proof_and_loses_its_right_with_its_line() {
    let mut harness = Harness::bare(settings());
    assert_eq!(knock(&mut harness, 1, None), Ok(None));
    assert_eq!(knock(&mut harness, 2, None), Err(CloseCode::Denied));
    harness.settings.enrolment.authorized.clear();
    harness.restart();
    assert_eq!(knock(&mut harness, 1, None), Err(CloseCode::Denied));
}

#[test]
fn the_signup_secret_admits_for_good_and_proves_the_coordinator() {
    let signup = EnrolmentKind::SignupSecret;
    let mut harness = Harness::bare(settings());
    assert_eq!(knock(&mut harness, 2, Some((signup, b"wrong"))), Err(CloseCode::Denied));
    let own = enrolment_proof(SECRET, &[3; 32], "coordinator", &public(2), &public(99));
    assert_eq!(knock(&mut harness, 2, Some((signup, SECRET))), Ok(Some(own)));
    harness.settings.enrolment.signup_secret = None;
    harness.restart();
    assert_eq!(knock(&mut harness, 2, None), Ok(None));
    assert_eq!(knock(&mut harness, 3, Some((signup, SECRET))), Err(CloseCode::Denied));
}

#[test]
fn nobody_enrols_where_nothing_is_configured() {
    let mut harness = Harness::bare(Settings::default());
    let signup = EnrolmentKind::SignupSecret;
    assert_eq!(knock(&mut harness, 2, None), Err(CloseCode::Denied));
    assert_eq!(knock(&mut harness, 2, Some((signup, b""))), Err(CloseCode::Denied));
    assert!(harness.stored.is_empty(), "strangers leave nothing behind");
}

fn invite(harness: &mut Harness, id: u8) -> (EnrolmentKind, Sha256) {
    let secret_sha256 = Sha256::of(&[id]);
    let order = Order::Invite { id: [id; 8], secret_sha256, ttl_secs: 3600 };
    let (answer, _) = harness.order(order);
    let expires = harness.now.utc.plus(HOUR);
    assert_eq!(answer, Response::Invitation { token: String::new(), expires });
    (EnrolmentKind::Invitation { id: [id; 8] }, secret_sha256)
}

#[test]
fn an_invitation_admits_one_key() {
    let mut harness = Harness::bare(settings());
    let (kind, secret) = invite(&mut harness, 7);
    let proof: (EnrolmentKind, &[u8]) = (kind, &secret.0);
    assert_eq!(knock(&mut harness, 2, Some((kind, b"wrong"))), Err(CloseCode::Denied));
    assert!(knock(&mut harness, 2, Some(proof)).is_ok());
    assert!(knock(&mut harness, 2, Some(proof)).is_ok(), "its answer was lost");
    assert_eq!(knock(&mut harness, 3, Some(proof)), Err(CloseCode::Denied));
    harness.restart();
    assert_eq!(knock(&mut harness, 3, Some(proof)), Err(CloseCode::Denied));
    assert_eq!(knock(&mut harness, 2, None), Ok(None));
    let record = &harness.queue.workers.values().next().unwrap().record;
    assert_eq!((record.by, record.enrolled_at), (EnrolledBy::Invitation, START));
}

#[test]
fn an_invitation_expires_and_is_forgotten() {
    let mut harness = Harness::bare(settings());
    let (kind, secret) = invite(&mut harness, 7);
    harness.advance(HOUR);
    assert_eq!(knock(&mut harness, 2, Some((kind, &secret.0))), Err(CloseCode::Denied));
    harness.advance(25 * HOUR);
    invite(&mut harness, 8);
    assert_eq!(harness.queue.invitations.len(), 1);
}

/// Found by reading: a worker that had been invited once used up others' invitations unproved.
#[test]
fn an_invitation_is_used_up_by_proof_only() {
    let mut harness = Harness::bare(settings());
    let (kind, secret) = invite(&mut harness, 7);
    knock(&mut harness, 2, Some((kind, &secret.0))).unwrap();
    let (other, secret) = invite(&mut harness, 8);
    assert_eq!(knock(&mut harness, 2, Some((other, b"wrong"))), Ok(None));
    assert!(knock(&mut harness, 3, Some((other, &secret.0))).is_ok());
}

#[test]
fn the_same_process_replaces_its_connection_at_once() {
    let mut harness = Harness::new();
    let (old, _) = harness.ready(1);
    let (new, effects) = harness.join_as(1, 1, offer(1));
    let [Send::Close { session, code, .. }, Send::Admit { .. }] = &effects.sends[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((*session, *code), (old, CloseCode::Duplicate));
    harness.handle(Event::Left(old));
    harness.sync("p", "1", groups(&["a"]));
    assert_eq!(assignments(&harness.status(new, 0, &[], &[])).len(), 1);
}

#[test]
fn a_worker_that_left_keeps_its_jobs_for_a_lease() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    harness.handle(Event::Left(session));
    assert!(matches!(harness.place(granted[0].attempt.job), StoredPlace::Leased { .. }));
    assert_eq!(harness.ready(2).1, []);
    let session = harness.join(1);
    let (answer, _) = harness.report(session, 1, &granted[0], good(&granted[0]));
    assert_eq!(answer, Answer::Accepted);
}

#[test]
fn revoking_closes_requeues_and_lasts() {
    let mut harness = Harness::new();
    harness.sync("p", "1", groups(&["a"]));
    let (session, granted) = harness.ready(1);
    let order = Order::Revoke { worker: public(1).to_string() };
    let (answer, effects) = harness.order(order);
    assert!(matches!(answer, Response::Done { affected: 1, .. }));
    let closed = effects.sends.iter().any(|send| {
        matches!(send, Send::Close { session: s, code: CloseCode::Revoked, .. } if *s == session)
    });
    assert!(closed, "{effects:?}");
    assert!(matches!(harness.place(granted[0].attempt.job), StoredPlace::Queued { .. }));
    assert_eq!(knock(&mut harness, 1, None), Err(CloseCode::Revoked));
    harness.restart();
    assert_eq!(knock(&mut harness, 1, None), Err(CloseCode::Revoked), "though it is listed");
    assert_eq!(harness.ready(2).1.len(), 1);
}

/// Found by reading: a worker's name could be another one's key, and neither could be revoked.
#[test]
fn a_name_shields_nobody() {
    let mut harness = Harness::new();
    harness.join(1);
    let named = crate::protocol::wire::Offer { name: public(1).to_string(), ..offer(1) };
    harness.join_as(2, 1, named);
    let named = crate::protocol::wire::Offer { name: "1".into(), ..offer(1) };
    harness.join_as(3, 1, named);
    harness.order(Order::Revoke { worker: public(1).to_string() });
    let revoked = |harness: &Harness| -> Vec<i32> {
        let workers = harness.queue.workers.values();
        workers.filter(|w| w.record.revoked_at.is_some()).map(|w| w.record.id.0).collect()
    };
    assert_eq!(revoked(&harness), [1]);
    harness.order(Order::Revoke { worker: "2".into() });
    assert_eq!(revoked(&harness), [1, 2]);
    harness.join(4);
    harness.join(5);
    let (answer, _) = harness.order(Order::Revoke { worker: "builder".into() });
    assert!(matches!(answer, Response::Refused { code: RefusalCode::Invalid, .. }));
}

#[test]
fn absurd_offers_are_refused() {
    let mut harness = Harness::new();
    for slots in [0, 257, u16::MAX] {
        let (_, effects) = harness.join_as(1, 1, offer(slots));
        assert_eq!(outcome(&effects), Err(CloseCode::Protocol));
    }
    let mut named = offer(1);
    named.name = "a\nb".into();
    let (_, effects) = harness.join_as(1, 1, named);
    assert_eq!(outcome(&effects), Err(CloseCode::Protocol));
    assert!(harness.stored.is_empty());
}
