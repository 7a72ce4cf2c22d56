//! `cargo sim`: runs seeds; a failing one prints the command that replays it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rebuilder_actors::planted::Bug;
use rebuilder_simulation::command;
use rebuilder_simulation::plan::{self, Plan};

/// Every event is a few small boxes: with the system's allocator they are a quarter of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "cargo sim", about = "The whole system in a world that a seed makes")]
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
        #[command(flatten)]
        world: WorldArgs,
        /// Print everything that happens.
        #[arg(long)]
        trace: bool,
        /// Print SHA-256 of the trace: the same for the same seed.
        #[arg(long)]
        digest: bool,
    },
    /// Runs many seeds.
    Sweep {
        /// How many.
        #[arg(long)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Threads; without it one for each core.
        #[arg(long)]
        jobs: Option<usize>,
        #[command(flatten)]
        world: WorldArgs,
    },
    /// Runs a scenario that is kept: a world that once showed a bug.
    Replay {
        /// The scenario's file, as in `simulation/scenarios`.
        file: PathBuf,
    },
    /// Looks for the least trouble, workers and time with which a failing seed still fails.
    Shrink {
        /// Which.
        #[arg(long)]
        seed: u64,
        #[command(flatten)]
        world: WorldArgs,
    },
    /// Plants every bug on purpose, and says which checker finds it.
    Mutants {
        /// Seeds in which each must be found.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Threads; without it one for each core.
        #[arg(long)]
        jobs: Option<usize>,
        /// Only list them.
        #[arg(long)]
        list: bool,
        #[command(flatten)]
        world: WorldArgs,
    },
    /// Lists the faults of a level.
    Faults {
        /// Whose.
        #[arg(long, value_enum, default_value_t = Level::Core)]
        level: Level,
    },
    /// Measures how many events and how much virtual time are simulated in a second.
    Bench {
        /// Seeds to run.
        #[arg(long, default_value_t = 20)]
        seeds: u64,
    },
}

/// What the world is like, where the seed shall not decide.
#[derive(Args)]
struct WorldArgs {
    /// How much of the system.
    #[arg(long, value_enum, default_value_t = Level::Core)]
    level: Level,
    /// Workers; without it drawn from the seed.
    #[arg(long)]
    workers: Option<u16>,
    /// Days of trouble before everything heals (level core).
    #[arg(long)]
    days: Option<u32>,
    /// Minutes of trouble before everything heals (level cluster).
    #[arg(long, conflicts_with = "days")]
    minutes: Option<u32>,
    /// Exactly these faults, with commas between, or `none`; without it drawn from the seed.
    #[arg(long, value_delimiter = ',')]
    faults: Option<Vec<String>>,
    /// Plant a bug on purpose.
    #[arg(long)]
    plant: Option<Bug>,
    /// Do not compare with the oracle.
    #[arg(long)]
    no_oracle: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    /// The pure part.
    Core,
    /// The production actors over simulated datagrams.
    Cluster,
}

fn main() -> ExitCode {
    match carry_out(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn carry_out(command: Command) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(match command {
        Command::Run { seed, world, trace, digest } => {
            command::run(&Plan { trace, digest, ..world.plan(seed)? })?
        }
        Command::Sweep { seeds, from, jobs, world } => {
            command::sweep(&world.plan(from)?, from, seeds, jobs.unwrap_or_else(cores))?
        }
        Command::Replay { file } => command::replay(&file)?,
        Command::Shrink { seed, world } => command::shrink(&world.plan(seed)?)?,
        Command::Mutants { list: true, .. } => command::list(),
        Command::Mutants { seeds, from, jobs, world, .. } => {
            let jobs = jobs.unwrap_or_else(cores);
            command::mutants(&world.plan(from)?, world.plant, seeds, jobs)?
        }
        Command::Faults { level } => command::faults(level.into())?,
        Command::Bench { seeds } => command::bench(&Plan::of(plan::Level::Core, 0), seeds)?,
    })
}

impl WorldArgs {
    fn plan(&self, seed: u64) -> Result<Plan, String> {
        let level = self.level.into();
        let length = match (level, self.days, self.minutes) {
            (plan::Level::Core, days, None) => days,
            (plan::Level::Cluster, None, minutes) => minutes,
            (level, ..) => {
                return Err(format!("the level {level} is measured in --{}", level.unit()));
            }
        };
        let faults = self.faults.clone();
        let faults = faults.map(|names| match &*names {
            [none] if none == "none" => Vec::new(),
            _ => names,
        });
        let (workers, bug) = (self.workers, self.plant);
        let oracle = !self.no_oracle;
        Ok(Plan { workers, length, faults, bug, oracle, ..Plan::of(level, seed) })
    }
}

impl From<Level> for plan::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Core => Self::Core,
            Level::Cluster => Self::Cluster,
        }
    }
}

#[expect(clippy::print_stderr, reason = "where a program says what is wrong")]
fn fail(error: &dyn core::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}
