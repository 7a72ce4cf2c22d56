use rebuilder_actors::port::{IndexRead, IndexReader as _, KeptRelease};

use super::mirror_test::*;
use super::*;

fn archive() -> Mirror {
    let mirror = Mirror::new();
    mirror.source("hello", "1.0-1");
    mirror.deb("main", "hello_1.0-1_amd64.deb", "");
    mirror.publish("stable", DATE, ".xz");
    mirror
}

/// As an archive does every few hours, whatever changed.
fn sign_again(mirror: &Mirror, date: &str) {
    mirror.release("stable", date, "Suite: stable\nCodename: stable\n");
    mirror.sign("stable", "signer");
}

fn changed(read: IndexRead) -> rebuilder_actors::protocol::IndexState {
    match read {
        IndexRead::Changed(state) => state,
        IndexRead::Unchanged => panic!("the signed file is another one"),
    }
}

#[tokio::test]
async fn what_was_signed_again_and_says_the_same_is_not_read() {
    let mirror = archive();
    let reader = mirror.reader(mirror.settings(&["stable"]));
    let (state, groups) = read_new(&reader).await;
    assert_eq!((groups.len(), reader.kept()), (1, vec![]));

    sign_again(&mirror, LATER);
    // It would be refused.
    std::fs::remove_dir_all(mirror.path("archive/dists/stable/main")).unwrap();
    let (again, groups) = read(&reader, Some(&state)).await.unwrap();
    let again = changed(again);
    assert!(again.releases[0].date > state.releases[0].date);
    assert_ne!(again.releases[0].sha256, state.releases[0].sha256);
    let as_before = KeptRelease { name: "stable".into(), error: None };
    assert_eq!((groups.len(), reader.kept()), (0, vec![as_before]));
    let (third, _) = read(&reader, Some(&again)).await.unwrap();
    assert_eq!((third, reader.kept()), (IndexRead::Unchanged, vec![]));

    // What was answered and not used is answered whole, from files that the cache still has.
    let (whole, groups) = read(&reader, Some(&state)).await.unwrap();
    assert_eq!((changed(whole), groups.len(), reader.kept()), (again.clone(), 1, vec![]));
    // So are other settings.
    let settings = DebianSettings { shrink_guard: 60, ..mirror.settings(&["stable"]) };
    let (_, groups) = read(&mirror.reader(settings), Some(&again)).await.unwrap();
    assert_eq!(groups.len(), 1);
}

#[tokio::test]
async fn what_changed_beside_the_date_is_read() {
    let mirror = archive();
    let reader = mirror.reader(mirror.settings(&["stable"]));
    let (state, _) = read_new(&reader).await;
    mirror.deb("main", "world_1.0-1_amd64.deb", "");
    mirror.publish("stable", LATER, ".xz");
    let (read_again, groups) = read(&reader, Some(&state)).await.unwrap();
    assert_eq!((groups.len(), reader.kept()), (2, vec![]));
    let state = changed(read_again);

    // The cache may be emptied at any time.
    sign_again(&mirror, "Sat, 10 Jan 2026 11:30:00 UTC");
    std::fs::remove_dir_all(mirror.path("cache")).unwrap();
    let (_, groups) = read(&reader, Some(&state)).await.unwrap();
    assert_eq!(groups.len(), 2, "nothing is remembered");
}

#[tokio::test]
async fn what_this_machine_records_is_looked_at_whenever_it_is_signed() {
    let mirror = archive();
    let mut settings = mirror.settings(&["stable"]);
    let buildinfo_url = mirror.path("infos/{source}").display().to_string();
    settings.environment = Environment::RecordedOrSuite { buildinfo_url };
    let reader = mirror.reader(settings);
    let (state, groups) = read_new(&reader).await;
    assert_eq!(&*groups[0].input_name, "suite");
    std::fs::create_dir_all(mirror.path("infos")).unwrap();
    std::fs::write(mirror.path("infos/hello"), "").unwrap();
    sign_again(&mirror, LATER);
    let (_, groups) = read(&reader, Some(&state)).await.unwrap();
    assert_ne!(&*groups[0].input_name, "suite");
}
