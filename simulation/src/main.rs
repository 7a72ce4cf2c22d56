//! Runs seeds; a failing one prints the command that replays it.
#![expect(clippy::print_stdout, reason = "its output is what the program is for")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rebuilder_simulation::core::{Options, Report, run};

#[derive(Parser)]
#[command(name = "rebuilder-simulation", about = "The queue in a world that a seed makes")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one seed.
    Run {
        /// Which.
        #[arg(long)]
        seed: u64,
        /// Workers; without it the seed draws their number.
        #[arg(long)]
        workers: Option<u8>,
        /// Days of trouble before everything heals.
        #[arg(long, default_value_t = 3)]
        days: u32,
        /// Print every observation.
        #[arg(long)]
        trace: bool,
    },
    /// Runs the seeds from 0 on.
    Sweep {
        /// How many.
        #[arg(long)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { seed, workers, days, trace } => {
            let options = Options { seed, workers, days, trace };
            tell(&options, &run(&options))
        }
        Command::Sweep { seeds, from } => {
            let mut events = 0;
            for seed in from..from.saturating_add(seeds) {
                let options = Options::of(seed);
                let report = run(&options);
                events += report.events;
                if report.failure.is_some() {
                    return tell(&options, &report);
                }
            }
            println!("{seeds} seeds, {events} events: all properties hold");
            ExitCode::SUCCESS
        }
    }
}

fn tell(options: &Options, report: &Report) -> ExitCode {
    for line in &report.trace {
        println!("{line}");
    }
    println!(
        "seed {}: {} events, {} builds, {} restarts, digest {}",
        options.seed, report.events, report.builds, report.restarts, report.digest
    );
    match &report.failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("{failure}\nreplay with: {}", options.command());
            ExitCode::FAILURE
        }
    }
}
