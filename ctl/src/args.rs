//! The command line. Every text here is read by people: it is the first documentation they meet.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rebuilder_actors::protocol::PublicKey;

use crate::filter::FilterArgs;
use crate::human;
use crate::list::ListArgs;

const EXAMPLES: &str = "\
Examples:
  rebuilder-ctl status                                     what runs, what waits
  rebuilder-ctl pkgs ls --name 'lib*' --status differs     what is not reproducible
  rebuilder-ctl pkgs log --name bash --release trixie --follow
  rebuilder-ctl pkgs ls --json | jq -r '.[] | select(.flaky) | .name'
  rebuilder-ctl queue ls --head                            the next 25 jobs
  rebuilder-ctl queue push --name bash --priority -5       build it again, before others
  rebuilder-ctl worker invite --ttl 1h                     let a new machine in

Exit codes:
  0 done   1 failed   2 wrong usage   3 coordinator not reached   4 not allowed
  5 nothing matched   6 several matched where one is needed   7 not verified   130 interrupted

Without an admin key everything can be read and nothing changed. The key is looked for as ctl.key
beside $REBUILDERD_COOKIE_PATH, in /var/lib/rebuilder and in ~/.local/share/rebuilder.
All commands and the fields of --json are described in docs/ctl.md.";

/// Asks and operates a rebuilder coordinator.
#[derive(Debug, Parser)]
#[command(name = "rebuilder-ctl", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Address of the coordinator, `host:port` (port 8485 when left out)
    #[arg(long, global = true, value_name = "HOST:PORT", env = "REBUILDER_ENDPOINT")]
    #[arg(default_value = "127.0.0.1:8485", hide_env_values = true)]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub endpoint: String,
    /// File with the private key; without one, and when none is found, a new key that may only read
    #[arg(long, global = true, value_name = "FILE", env = "REBUILDER_CTL_KEY")]
    #[arg(hide_env_values = true)]
    pub key: Option<PathBuf>,
    /// The coordinator's public key, 64 hex digits: no other one is accepted. Default: the file
    /// coordinator.pub beside the key; without one, any is accepted
    #[arg(long, global = true, value_name = "KEYHEX", env = "REBUILDER_COORDINATOR")]
    #[arg(hide_env_values = true)]
    pub coordinator: Option<PublicKey>,
    /// Print JSON: one array for a list, one object for a single answer
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours; `auto` follows the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
    /// Say on standard error what is used: endpoint, keys, versions
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Seconds for the connection to be made
    #[arg(long, global = true, default_value = "10", value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub timeout: u32,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR says otherwise.
    Auto,
    /// Even into a file.
    Always,
    /// Not at all.
    Never,
}

/// A noun.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The coordinator at a glance: jobs, artifacts, what runs now
    Status,
    /// Machines that rebuild
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Profiles: what is followed of which distribution
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Reading the distributions' indexes
    #[command(subcommand)]
    Sync(SyncCommand),
    /// Packages, their results, logs, differences and attestations
    #[command(subcommand)]
    Pkgs(PkgsCommand),
    /// The queue of jobs
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Messages that were set aside because they made a part of the coordinator panic
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Check a file on disk against what the coordinator attests of it
    #[command(after_help = "Example:
  rebuilder-ctl verify hello_2.10-3_amd64.deb

It is looked up by its SHA-256, under any name. Exit code 0: a worker built the same bytes again,
and worker and coordinator signed that; 7: they did not, or it does not hold; 5: no such file is
followed.")]
    Verify {
        /// A published file, for example a .deb
        file: PathBuf,
    },
    /// Make a key of your own that lasts, for a second operator; print its public half
    #[command(after_help = "Example:
  rebuilder-ctl keygen                 in ~/.local/share/rebuilder/ctl.key, where it is found

The coordinator lets it change things once it stands in `admins` in [coordinator].")]
    Keygen {
        /// Where the key goes
        file: Option<PathBuf>,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  mkdir -p ~/.local/share/bash-completion/completions
  rebuilder-ctl completions bash > ~/.local/share/bash-completion/completions/rebuilder-ctl
  rebuilder-ctl completions zsh > ~/.zfunc/_rebuilder-ctl
  rebuilder-ctl completions fish > ~/.config/fish/completions/rebuilder-ctl.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// `worker …`
#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// List workers
    Ls(ListArgs),
    /// Make a one-time invitation; its text goes to the new worker (admin)
    #[command(after_help = "Example:\n  rebuilder-ctl worker invite --ttl 30m")]
    Invite {
        /// How long it is valid: 90s, 30m, 1h, 2d, 1h30m
        #[arg(long, default_value = "1h", value_parser = human::parse_duration)]
        ttl: Duration,
    },
    /// Take a worker's rights, close its connection and queue its jobs again (admin)
    #[command(after_help = "Example:\n  rebuilder-ctl worker revoke 7")]
    Revoke {
        /// Its key, its number, or its name when only one worker has it
        #[arg(value_name = "KEY|ID|NAME", value_parser = NonEmptyStringValueParser::new())]
        worker: String,
    },
}

/// `profile …`
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List profiles
    Ls(ListArgs),
}

/// `sync …`
#[derive(Debug, Subcommand)]
pub enum SyncCommand {
    /// Sync a profile now instead of at its time (admin)
    Run {
        /// Name of the profile
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        profile: String,
    },
}

/// `pkgs …`
#[derive(Debug, Subcommand)]
pub enum PkgsCommand {
    /// List packages and what is known about them
    #[command(after_help = "Examples:
  rebuilder-ctl pkgs ls --distro debian --release trixie --status differs
  rebuilder-ctl pkgs ls 'python3-*' --json
  rebuilder-ctl pkgs ls --status BAD,FAIL --sort built --columns name,version,built,note

A status `differs (assumed environment)` says little about the package: how it was built is not
recorded, and the rebuild took today's suite.")]
    Ls {
        /// Which packages.
        #[command(flatten)]
        filter: FilterArgs,
        /// How.
        #[command(flatten)]
        how: ListArgs,
    },
    /// Show the packages of the one job that matches, and the attempts at it, newest first
    #[command(after_help = "With --json only the attempts; the packages are in `pkgs ls --json`.

Example:
  rebuilder-ctl pkgs show bash --release trixie")]
    Show {
        /// Which package.
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Queue the jobs that match again, now: the same as `queue push` (admin)
    #[command(after_help = "Example:
  rebuilder-ctl pkgs requeue --suite main --status BAD")]
    Requeue(PushArgs),
    /// Print the log of the newest attempt at the one job that matches
    #[command(after_help = "On a terminal the log opens in $PAGER (less -R when unset), unless \
        NOPAGER is set.\n\nExample:\n  rebuilder-ctl pkgs log bash --release trixie -f")]
    Log {
        /// Which package.
        #[command(flatten)]
        filter: FilterArgs,
        /// Follow the attempt that runs, or the next one of a job that waits, until it ends, and
        /// say how; never through the pager
        #[arg(short, long)]
        follow: bool,
        /// Every byte as it is, also those that steer a terminal
        #[arg(long)]
        raw: bool,
    },
    /// Print the difference of the newest build of the one package that matches
    Diffoscope {
        /// Which package.
        #[command(flatten)]
        filter: FilterArgs,
        /// Every byte as it is, also those that steer a terminal
        #[arg(long)]
        raw: bool,
    },
    /// Print the attestations of the newest build of the one package that matches, as signed
    Attestation {
        /// Which package.
        #[command(flatten)]
        filter: FilterArgs,
    },
}

/// `queue …`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List the queue in the order in which jobs will start
    #[command(after_help = "Examples:
  rebuilder-ctl queue ls --head
  rebuilder-ctl queue ls --planned --json")]
    Ls {
        /// Only the first N jobs; 25 when N is left out
        #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "25")]
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        head: Option<u32>,
        /// Jobs that are not due yet and parked ones too
        #[arg(short, long)]
        planned: bool,
        /// How.
        #[command(flatten)]
        how: ListArgs,
    },
    /// Queue the jobs that match again, now; one that runs is left to its attempt (admin)
    #[command(after_help = "Examples:
  rebuilder-ctl queue push bash
  rebuilder-ctl queue push --distro debian --release trixie --status build-failed --priority 5
  rebuilder-ctl queue push --status BAD,FAIL                try all bad ones again

A push takes a drop back, and begins the count of retries anew.")]
    Push(PushArgs),
    /// Take the jobs that match out of the queue until their version changes (admin)
    #[command(after_help = "Example:
  rebuilder-ctl queue drop chromium

A build that runs is cancelled. `queue push` takes it back.")]
    Drop {
        /// Which jobs.
        #[command(flatten)]
        selection: Selection,
    },
}

/// What is queued again, and how soon.
#[derive(Clone, Debug, Args)]
pub struct PushArgs {
    /// Which jobs.
    #[command(flatten)]
    pub selection: Selection,
    /// Smaller is sooner, negative too: 0 is before new packages (1) and retries (2)
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
}

/// Which jobs an order is about: at least one filter, or explicitly all.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Which jobs.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Every job there is, instead of a filter
    #[arg(long)]
    pub all: bool,
}

/// `quarantine …`
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List what was set aside
    Ls(ListArgs),
}
