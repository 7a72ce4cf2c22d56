//! Hostile packages, rebuilt by the real programs on real base roots: each trial ends with the
//! right verdict or fault, leaves no process, mount, control group or file behind, and an honest
//! package reproduces on the same slot afterwards.
//!
//! A few trials run by default. `make test-hostile` sets `REBUILDER_HOSTILE=all` and runs every
//! one; `REBUILDER_HOSTILE=NAME,NAME` runs those. `cargo build -p rebuilder-ctl` comes first.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]
#![expect(clippy::print_stdout, reason = "which trial runs, and how it ended, is for reading")]

#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
#[path = "../e2e/archive.rs"]
mod archive;
mod bombs;
mod harness;
#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
#[path = "../e2e/node.rs"]
mod node;
mod outputs;
#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
#[path = "../e2e/package.rs"]
mod package;
mod packages;
mod processes;
mod reach;
#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
#[path = "../e2e/reference.rs"]
mod reference;
#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
#[path = "../e2e/server.rs"]
mod server;
mod sources;
#[path = "../e2e/tools.rs"]
mod tools;
mod trial;

use harness::Harness;
use trial::{Place, Trial};

/// Every trial there is.
fn all() -> Vec<Trial> {
    [bombs::trials(), processes::trials(), reach::trials(), outputs::trials(), sources::trials()]
        .concat()
}

/// Those that this run is about.
fn chosen() -> Vec<Trial> {
    let wanted = std::env::var("REBUILDER_HOSTILE").unwrap_or_default();
    let names: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    let is_wanted = |trial: &Trial| match names[..] {
        [] => trial.quick,
        ["all"] => true,
        _ => names.contains(&trial.name),
    };
    let chosen: Vec<Trial> = all().into_iter().filter(is_wanted).collect();
    assert!(!chosen.is_empty(), "REBUILDER_HOSTILE={wanted}: no trial has such a name");
    chosen
}

#[test]
fn hostile_packages_end_as_they_should() {
    tools::require();
    let trials = chosen();
    let mut complaints = Vec::new();
    // What is in a base root is in every build on it: each such trial has a worker of its own.
    let (bases, others): (Vec<_>, Vec<_>) =
        trials.into_iter().partition(|trial| trial.place == Place::Base);
    if !others.is_empty() {
        let mut harness = Harness::new(&others);
        for trial in &others {
            complaints.extend(harness.try_one(trial));
        }
        complaints.extend(harness.close());
    }
    for trial in bases {
        let trials = [trial];
        let mut harness = Harness::new(&trials);
        complaints.extend(harness.try_one(&trials[0]));
        complaints.extend(harness.close());
    }
    for complaint in &complaints {
        println!("COMPLAINT {complaint}");
    }
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn trials_have_names_of_their_own() {
    let mut names: Vec<&str> = all().iter().map(|trial| trial.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(all().iter().any(|trial| trial.quick));
}
