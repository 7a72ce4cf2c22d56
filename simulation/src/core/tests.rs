use super::{Options, run};

#[test]
fn the_same_seed_has_the_same_history() {
    let (one, two) = (run(&Options::of(3)), run(&Options::of(3)));
    assert_eq!(one, two);
    assert_ne!(one.digest, run(&Options::of(4)).digest);
}

#[test]
fn two_hundred_seeds() {
    let (mut builds, mut restarts) = (0, 0);
    for seed in 0..200 {
        let options = Options::of(seed);
        let report = run(&options);
        if let Some(failure) = report.failure {
            panic!("seed {seed}: {failure}\nreplay with: {}", options.command());
        }
        builds += report.builds;
        restarts += report.restarts;
    }
    assert!(builds > 200 * 10 && restarts > 200, "{builds} builds, {restarts} restarts");
}
