//! What the command says about what cannot be.

use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rebuilder-simulation"));
    command.args(arguments).output().expect("the simulation can be started")
}

#[test]
fn bad_seeds_unknown_faults_and_impossible_options_are_refused() {
    for (arguments, expected) in [
        (&["run", "--seed", "forty-two"][..], "invalid digit"),
        (&["run", "--seed", "1", "--faults", "earthquake"], "has no fault `earthquake`"),
        (&["run", "--seed", "1", "--workers", "0"], "0 workers: the level core takes 1 to 200"),
        (&["run", "--seed", "1", "--days", "4000"], "4000 days: the level core takes 1 to 3650"),
        (&["run", "--seed", "1", "--minutes", "4"], "the level core is measured in --days"),
        (&["run", "--seed", "1", "--plant", "beans"], "there is no bug `beans`"),
        (&["replay", "nowhere.toml"], "cannot read nowhere.toml"),
    ] {
        let output = sim(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_run_says_what_the_seed_drew_and_traces_what_happens() {
    let output = sim(&["run", "--seed", "5", "--days", "1", "--faults", "cut,lie", "--trace"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("faults: cut (") && text.contains(", lie ("), "{text}");
    assert!(text.starts_with("day 0   00:00:00.000  coordinator  started"), "{text}");
    assert!(text.contains("loses its connection"), "{text}");
}

#[cfg(feature = "planted")]
#[test]
fn a_failure_names_its_checker_and_prints_its_replay_and_shrinks() {
    let arguments = ["--seed", "7", "--plant", "scope-wipes-other"];
    let output = sim(&[&["run"], &arguments[..]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let replay = "replay with: cargo sim run --level core --seed 7 --plant scope-wipes-other";
    assert!(text.contains(replay), "{text}");
    assert!(text.contains(": scopes_do_not_touch: "), "{text}");
    let output = sim(&[&["shrink"], &arguments[..]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    // How few days are enough is the seed's; one worker always is.
    assert!(text.contains("--workers 1 "), "{text}");
    assert!(text.contains(" --faults publish --plant scope-wipes-other"), "{text}");
}
