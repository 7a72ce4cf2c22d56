//! x
#![expect(clippy::print_stdout, reason = "its output is what the program is for")]
use rebuilder_simulation::{
    core::run,
    plan::{Level, Plan},
};
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    for seed in a[0]..a[1] {
        let mut plan = Plan::of(Level::Core, seed);
        plan.trace = a.len() > 2;
        let o = run(&plan);
        for l in o.trace.iter().rev().take(a.get(2).copied().unwrap_or(0) as usize).rev() {
            println!("{l}");
        }
        println!(
            "{seed} {} events {} builds {} restarts {} days {:?} {}",
            o.events,
            o.builds,
            o.restarts,
            o.simulated_ms / 86400000,
            o.failure,
            o.drawn
        );
    }
}
