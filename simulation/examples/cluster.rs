//! Development aid.
#![allow(clippy::all, clippy::print_stdout, reason = "temporary")]
use rebuilder_simulation::cluster::{Plan, parse_faults, run};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let get = |name: &str| args.iter().position(|a| a == name).map(|at| args[at + 1].clone());
    let from: u64 = get("--seed").map_or(0, |s| s.parse().unwrap());
    let seeds: u64 = get("--seeds").map_or(1, |s| s.parse().unwrap());
    if let Some(bug) = get("--bug") {
        #[cfg(feature = "planted")]
        rebuilder_actors::planted::plant(Some(bug.parse().unwrap()));
        let _ = bug;
    }
    let mut bad = 0;
    for seed in from..from + seeds {
        let mut plan = Plan::of(seed);
        plan.workers = get("--workers").map(|w| w.parse().unwrap());
        if let Some(m) = get("--minutes") {
            plan.minutes = m.parse().unwrap();
        }
        plan.faults = get("--faults").map(|f| parse_faults(&f).unwrap());
        plan.trace = args.iter().any(|a| a == "--trace");
        let began = std::time::Instant::now();
        let o = run(&plan);
        let took = began.elapsed().as_secs_f64();
        for line in &o.trace {
            println!("{line}");
        }
        println!(
            "seed {seed} workers {} lasted {:.0} s in {took:.2} s = {:.0}/s, events {} datagrams {} reports {} restarts {} digest {} {}",
            plan.draw().workers,
            o.lasted.as_secs_f64(),
            o.lasted.as_secs_f64() / took,
            o.events,
            o.datagrams,
            o.reports,
            o.restarts,
            o.digest,
            o.failure.clone().unwrap_or_default()
        );
        if o.failure.is_some() {
            bad += 1;
            println!("    {}", plan.command());
            println!("    {}", plan.draw().to_string().replace('\n', "\n    "));
        }
    }
    println!("{bad} bad");
}
