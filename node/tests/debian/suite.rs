use rebuilder_actors::protocol::EnvironmentKnowledge;

use crate::harness::{Harness, suite_assignment};
use crate::mirror;

/// Times of real packages; run by hand: `cargo test --test debian -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "compares with today's archive, whose toolchain moves: for looking at, not for gating"]
async fn packages_of_the_mirror_are_rebuilt() {
    let harness = Harness::new(&[]);
    let archives = mirror::suites();
    for (binary, source) in [
        ("mobian-archive-keyring", "mobian-keyring"),
        ("usrmerge", "usrmerge"),
        ("ucf", "ucf"),
        ("base-files", "base-files"),
        ("hostname", "hostname"),
        ("libtext-csv-xs-perl", "libtext-csv-xs-perl"),
        ("python-is-python3", "what-is-python"),
        ("libfile-tail-perl", "libfile-tail-perl"),
        ("catdoc", "catdoc"),
        ("libconfig-inifiles-perl", "libconfig-inifiles-perl"),
        ("distro-info-data", "distro-info-data"),
    ] {
        let published = mirror::published(binary, source);
        let files: Vec<(&str, &str)> = published
            .binaries
            .iter()
            .map(|(file, arch, _)| (file.as_str(), arch.as_str()))
            .collect();
        let version = published.version.as_str();
        let assignment =
            suite_assignment(source, version, published.dsc.clone(), archives.clone(), &files);
        let outcome = harness.attempt(assignment).await;
        let (file, _, expected) = &published.binaries[0];
        let verdict = match &outcome.ended {
            Ok(_) => match outcome.sha256(file) {
                Some(found) if found == *expected => "REPRODUCED".to_owned(),
                Some(_) => "differs".to_owned(),
                None => "missing".to_owned(),
            },
            Err(ended) => format!("{ended:?}"),
        };
        println!(
            "{source} {version}: {:.1} s: {}{verdict}",
            outcome.seconds,
            outcome.progress.times()
        );
        for line in outcome.progress.log().lines().filter(|line| line.starts_with("rebuilder: ")) {
            println!("    {line}");
        }
        assert!(harness.is_clean());
        assert_eq!(outcome.facts.environment, EnvironmentKnowledge::Suite);
    }
}
