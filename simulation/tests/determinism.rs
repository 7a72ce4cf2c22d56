//! The same seed is the same history, in every process.

use std::process::Command;

/// The digest of a seed's trace, from a process of its own.
fn digest(seed: u64) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rebuilder-simulation"));
    let output = command
        .args(["run", "--digest", "--no-oracle", "--days", "1", "--seed", &seed.to_string()])
        .output()
        .expect("the simulation can be started");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    assert!(output.status.success(), "seed {seed}: {text}");
    let digest = text.lines().find_map(|line| line.strip_prefix("digest "));
    digest.expect("it prints a digest").to_owned()
}

#[test]
fn twenty_seeds_have_the_same_trace_in_two_processes() {
    let mut digests = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let one = digest(seed);
        assert_eq!(one, digest(seed), "seed {seed}");
        digests.insert(one);
    }
    assert_eq!(digests.len(), 20, "another seed is another history");
}
