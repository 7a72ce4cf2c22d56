//! What once broke does not break again, and would be found again.

use std::path::Path;

use rebuilder_simulation::command::{SEEDS, Scenario};
use rebuilder_simulation::level;

#[test]
fn every_scenario_holds_and_breaks_with_its_bug() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("there are scenarios") {
        let path = entry.expect("the folder can be read").path();
        let scenario = Scenario::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let plan = scenario.plan(false).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let outcome = level::run(&plan).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(outcome.failure, None, "{path:?}");
        count += 1;
        if cfg!(not(feature = "planted")) || scenario.bug.is_none() {
            continue;
        }
        let found = scenario.broken().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let last = scenario.seed + SEEDS - 1;
        assert!(found.is_some(), "{path:?}: its bug does not show up to seed {last}");
    }
    assert!(count >= 3, "{count} scenarios");
}
