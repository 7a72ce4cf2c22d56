//! Asks and operates a `rebuilder` coordinator over QUIC. What it prints and returns is described
//! in `docs/ctl.md`.
#![forbid(unsafe_code)]

mod args;
#[cfg(test)]
mod args_test;
mod capabilities;
mod completions;
mod content;
mod failure;
mod filter;
mod hints;
mod history;
mod human;
mod json;
mod keygen;
mod keys;
mod list;
mod output;
mod reach;
mod rows;
#[cfg(test)]
mod rows_test;
mod run;
mod session;
mod signed;
mod status;
mod surroundings;
mod table;
mod text;
mod troubles;
mod verify;
mod words;

use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use args::{Cli, Command};
use clap::Parser;
use failure::{Failure, exit};
use rebuilder_actors::protocol::UtcMillis;

fn main() {
    let arguments = hints::help_last(std::env::args_os().collect());
    let cli = Cli::try_parse_from(arguments).unwrap_or_else(|error| not_understood(&error));
    let code = match &cli.command {
        Command::Completions { shell } => printed(&completions::script(*shell)),
        Command::Keygen { file } => match keygen::keygen(file.as_deref(), cli.global.json) {
            Ok((text, note)) => {
                run::note(&note);
                printed(text.as_bytes())
            }
            Err(failure) => report(&failure),
        },
        _ => with_coordinator(&cli),
    };
    // Not a return: nothing that still blocks, a full pipe for example, may hold us up.
    std::process::exit(code.into());
}

/// Says what is wrong with the command line, or what it asked to be told about it.
fn not_understood(error: &clap::Error) -> ! {
    error.print().ok();
    if let Some(hint) = hints::of(error) {
        run::note(&format!("hint: {hint}"));
    }
    std::process::exit(error.exit_code());
}

fn printed(text: &[u8]) -> u8 {
    match io::Write::write_all(&mut io::stdout(), text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => report(&Failure::Output(error)),
        _ => exit::OK,
    }
}

fn with_coordinator(cli: &Cli) -> u8 {
    let now = UtcMillis(jiff::Timestamp::now().as_millisecond());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Internal(format!("cannot start: {error}"))),
    };
    let result = runtime.block_on(until_interrupted(cli, now));
    let code = match result {
        Ok(()) => exit::OK,
        Err(failure) => report(&failure),
    };
    runtime.shutdown_background();
    code
}

/// What is done counts before an interrupt.
async fn until_interrupted(cli: &Cli, now: UtcMillis) -> Result<(), Failure> {
    let paging = AtomicBool::new(false);
    let mut run = pin!(run::run(cli, now, &paging));
    let mut interrupted = pin!(interrupted(&paging));
    poll_fn(|context| match run.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => interrupted.as_mut().poll(context).map(|()| Err(Failure::Interrupted)),
    })
    .await
}

/// Ends at Ctrl-C, except while a pager is open, which has its own use for it.
async fn interrupted(paging: &AtomicBool) {
    loop {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the system ends us as it always does.
            pending::<()>().await;
        }
        if !paging.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Tells `failure` on standard error; its exit code.
fn report(failure: &Failure) -> u8 {
    if !failure.is_quiet() {
        run::note(&format!("error: {failure}"));
        if let Some(hint) = failure.hint() {
            run::note(&format!("hint: {hint}"));
        }
    }
    failure.exit_code()
}
