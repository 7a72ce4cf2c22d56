//! Coordinator and worker of `rebuilder`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use rebuilder_actors::protocol::text::printable;
use rebuilder_node::config::{Config, DEFAULT_PATH, Role};
use rebuilder_node::log_lines::Lines;
use rebuilder_node::store::{self, Converted, Engine, StoreOptions};
use rebuilder_node::{bench, check, inherited, role, sandbox};
use tracing_subscriber::EnvFilter;

/// Rebuilds published packages from source and says, signed, whether they are bit for bit the same.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    /// What this process is [default: standalone, where there is a configuration]
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Configuration file [default: /etc/rebuilder/node.toml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the configuration, show what holds, and exit
    #[arg(long)]
    check_config: bool,
    /// Standalone: show progress, and end with a table when every job is decided, parked or not
    /// due within the next minute
    #[arg(long)]
    until_idle: bool,
    /// With --until-idle: a file with lines `SOURCE RESULT # REASON`; the table marks what differs
    #[arg(long, value_name = "FILE", requires = "until_idle")]
    expected: Option<PathBuf>,
    /// Say more (-vv: all)
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Measure this machine
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
    /// Work on a coordinator's store while no node runs
    Store {
        #[command(subcommand)]
        what: StoreCommand,
    },
    /// Look whether a data directory is whole, while no node runs on it; take over what is
    Check(check::Arguments),
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Copy the store to another engine, compare, and keep the former one beside it. May be
    /// interrupted at any moment and run again
    Convert {
        /// The engine that is to keep the store
        #[arg(long, value_enum)]
        to: Engine,
        /// Configuration file [default: /etc/rebuilder/node.toml, if there is one]
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

const EXAMPLES: &str = "\
Examples:
  rebuilder-node --role coordinator --config /etc/rebuilder/node.toml
  rebuilder-node --role worker --config /etc/rebuilder/node.toml
  rebuilder-node --role standalone --config node.toml --until-idle
  rebuilder-node --role worker --config node.toml --check-config
  rebuilder-node store convert --to redb --config /etc/rebuilder/node.toml
  rebuilder-node check --data-dir /var/lib/rebuilder

Every key of the configuration is explained in docs/configuration.md. RUST_LOG overrides -v.
Exit codes: 0 stopped or idle, 1 cannot start, 2 wrong usage or configuration, 65 what is stored is
damaged and another start finds the same (docs/damage.md), 70 gave up (let the service manager start
it again), 77 refused by the coordinator (it should not), 129 hung up, 130 interrupted.";

/// Of the many small texts of a release it wastes less than others, and it gives back what a sync
/// needed for a moment (docs/adr/0008-jemalloc.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How the allocator shares and keeps memory, which it reads when the process begins: one arena, as
/// what one thread freed is of little use to another, large pieces without a cache for each thread,
/// and what is free goes back to the system after a second.
#[expect(unsafe_code, reason = "a symbol of the allocator, which no other crate has")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATION: &[u8; 63] =
    b"narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0,tcache_max:4096\0";

fn main() -> ExitCode {
    // Before anything else: this process must still have one thread.
    if std::env::args_os().nth(1).is_some_and(|first| first == sandbox::INIT_ARGUMENT) {
        sandbox::init_main();
    }
    let settled = inherited::settle();
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    for said in settled {
        tracing::warn!(target: "rebuilder", "{said}");
    }
    match cli.command {
        Some(Command::Bench { what }) => {
            return with_runtime(async { report(bench::run(what).await) });
        }
        Some(Command::Store { what: StoreCommand::Convert { to, config } }) => {
            return convert(to, config.or(cli.config).as_deref());
        }
        Some(Command::Check(arguments)) => return checked(&arguments),
        None => {}
    }
    // Typed to see what it does, it must not become a daemon that follows nothing.
    let asked = cli.role.is_some() || cli.config.is_some() || Path::new(DEFAULT_PATH).exists();
    if !asked {
        let usage = Cli::command().render_usage();
        let text = format!(
            "there is neither `--role` nor a configuration ({DEFAULT_PATH}, or `--config FILE`)\n\
             {usage}\n--help explains it, with examples"
        );
        return fail(&text, 2);
    }
    let role = cli.role.unwrap_or(Role::Standalone);
    if cli.until_idle && role != Role::Standalone {
        return fail("`--until-idle` goes with `--role standalone`", 2);
    }
    let config = match Config::load(cli.config.as_deref(), role) {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string(), 2),
    };
    if cli.check_config {
        print(&config.summary());
        return ExitCode::SUCCESS;
    }
    for warning in &config.warnings {
        tracing::warn!(target: "rebuilder", "{warning}");
    }
    let expected = match cli.expected.as_deref().map(role::Expected::load).transpose() {
        Ok(expected) => expected.unwrap_or_default(),
        Err(error) => return fail(&error, 2),
    };
    let options = role::Options { until_idle: cli.until_idle, expected };
    with_runtime(async {
        match role::run(&config, &options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string(), error.exit_code()),
        }
    })
}

fn convert(to: Engine, config: Option<&Path>) -> ExitCode {
    let config = match Config::load(config, Role::Coordinator) {
        Ok(config) => config.coordinator.expect("it was read as a coordinator's"),
        Err(error) => return fail(&error.to_string(), 2),
    };
    let options = StoreOptions {
        assume_synchronous: config.synchronous_file_system,
        ..StoreOptions::default()
    };
    let done = store::convert(&config.data_dir, to, options);
    report(done.map(|done| converted(&done, to)).map_err(|error| error.to_string()))
}

fn converted(done: &Converted, to: Engine) -> String {
    let engine = to.name();
    match done {
        Converted::Already => format!(
            "the store is one of {engine} already, nothing was done; the configuration needs \
             coordinator.store = \"{engine}\""
        ),
        Converted::Done { records, former } => format!(
            "{records} records are in a store of {engine} now, each compared with the former one\n\
             1. set coordinator.store = \"{engine}\" in the configuration\n\
             2. start the node\n\
             3. remove the former store when it is not wanted any more: {}",
            former.display()
        ),
    }
}

fn checked(arguments: &check::Arguments) -> ExitCode {
    match check::run(arguments) {
        Ok(findings) => {
            print(&findings.text());
            let code = if findings.problems.is_empty() { 0 } else { role::DAMAGED };
            ExitCode::from(code)
        }
        Err(error) => fail(&error.to_string(), 1),
    }
}

fn with_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // The trees had their time; what still runs on a thread of its own is cut off, as a
            // kill would: what is durable stands, and the rest is done again.
            runtime.shutdown_timeout(THREADS_END);
            code
        }
        Err(error) => fail(&format!("cannot start threads: {error}"), 1),
    }
}

/// Time for what blocks a thread to end by itself, once everything else has stopped.
const THREADS_END: Duration = Duration::from_secs(2);

fn report(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, 1),
    }
}

/// One readable line for each state change.
fn log_to_stderr(verbose: u8) {
    let usual = match verbose {
        0 => "warn,rebuilder=info",
        1 => "info,rebuilder=debug,rebuilder_node=debug,rebuilder_actors=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let format = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Lines::new(std::io::stderr(), color))
        // It would say so on standard error, which is what is gone: a node outlives its log.
        .log_internal_errors(false)
        .with_target(verbose > 1)
        // Colours come after the filter, which cannot tell ours from others'.
        .with_ansi(false);
    format.init();
}

#[expect(clippy::print_stderr, reason = "the last word of a process that ends")]
fn fail(text: &str, code: u8) -> ExitCode {
    let lines: Vec<String> = text.lines().map(printable).collect();
    eprintln!("rebuilder-node: {}", lines.join("\n"));
    ExitCode::from(code)
}

#[expect(clippy::print_stdout, reason = "what the command was asked for")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}
