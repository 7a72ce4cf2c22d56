//! Carries out one command.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rebuilder_actors::port::{CloseReason, Network};
use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::wire::v1::ctl::{
    PackageFilter, Profile, Queued, RefusalCode, Request, Response, Subject, Worker,
};
use rebuilder_actors::protocol::wire::v1::history::DatedPackage;
use rebuilder_actors::protocol::wire::{BootId, CloseCode};
use rebuilder_transport::{Limits, system};

use crate::args::{
    Cli, Command, PkgsCommand, ProfileCommand, PushArgs, QuarantineCommand, QueueCommand,
    SyncCommand, WorkerCommand,
};
use crate::capabilities::Capabilities;
use crate::content::{self, Form};
use crate::failure::Failure;
use crate::json::{self, DoneRow, InvitationRow, StatusRow, TroubleRow};
use crate::keys::{self, Keys};
use crate::list::{ListArgs, Row, Show, list};
use crate::output::Output;
use crate::rows::Quarantined;
use crate::session::{Answer, Session, misplaced};
use crate::surroundings::{color, own_machine, width, with_port};
use crate::text::printable;
use crate::troubles::{Troubled, Troubles};
use crate::{history, human, reach, signed, status, verify};

/// Sends something after so long a silence, so that a log can be followed, or a pager left open,
/// for days. A third of the time after which the coordinator gives a connection up.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The coordinator is told that we leave, but nobody waits long for that.
const GOODBYE: Duration = Duration::from_millis(500);

/// A request, and how its answer is shown.
#[derive(Debug)]
enum Call {
    Status,
    Packages(Vec<PackageFilter>, ListArgs),
    History(PackageFilter),
    Workers(ListArgs),
    Profiles(ListArgs),
    Queue {
        planned: bool,
        limit: Option<u32>,
        how: ListArgs,
    },
    Quarantine(ListArgs),
    Verify(PathBuf),
    Invite {
        ttl_secs: u32,
    },
    /// An order, and whether it failed when nothing was affected.
    Order {
        request: Request,
        must_affect: bool,
    },
    /// Bytes; at once when they are followed; JSON already when they are attestations.
    Content {
        request: Request,
        follow: bool,
        /// Every byte as it is.
        raw: bool,
        is_json: bool,
    },
}

/// Does what `cli` asks for. `paging` is true while a pager owns the keyboard.
///
/// # Errors
/// Everything that makes the exit code something else than 0.
pub async fn run(cli: &Cli, now: UtcMillis, paging: &AtomicBool) -> Result<(), Failure> {
    let global = &cli.global;
    let plan = plan(&cli.command)?;
    let keys = Keys::find(global)?;
    let endpoint = with_port(&global.endpoint)?;
    if global.verbose > 0 {
        tell_keys(&keys, &endpoint);
    }
    let limits = Limits {
        keep_alive: Some(KEEP_ALIVE),
        handshake_timeout: Duration::from_secs(global.timeout.into()),
        ..Limits::default()
    };
    let network = system::client(keys.identity.clone(), limits)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let boot = BootId(keys::random()?);
    let opening = Session::open(&network, &endpoint, keys.coordinator, boot, global.timeout);
    let session = reach::reach(opening, &endpoint).await?;
    if global.verbose > 0 {
        tell_session(&session);
    }
    let show = Show { json: global.json, color: color(global), now, width: width() };
    let result = carry_out(&plan, &session, show, paging).await;
    session.close();
    let reason = CloseReason { code: CloseCode::Stopping as u32, text: "ctl is done".to_owned() };
    tokio::time::timeout(GOODBYE, network.close(reason)).await.ok();
    let denied =
        matches!(&result, Err(failure) if failure.exit_code() == crate::failure::exit::DENIED);
    if denied && global.verbose == 0 {
        keys.skipped.iter().for_each(|skipped| note(skipped));
    }
    result
}

fn plan(command: &Command) -> Result<Call, Failure> {
    let order = |request| Call::Order { request, must_affect: true };
    Ok(match command {
        Command::Status => Call::Status,
        Command::Worker(WorkerCommand::Ls(how)) => Call::Workers(how.clone()),
        Command::Worker(WorkerCommand::Invite { ttl }) => {
            let ttl_secs = u32::try_from(ttl.as_secs())
                .map_err(|_| Failure::Usage("--ttl is too long".to_owned()))?;
            Call::Invite { ttl_secs }
        }
        Command::Worker(WorkerCommand::Revoke { worker }) => {
            order(Request::Revoke { worker: worker.clone() })
        }
        Command::Profile(ProfileCommand::Ls(how)) => Call::Profiles(how.clone()),
        Command::Sync(SyncCommand::Run { profile }) => {
            // An index that did not change affects nothing.
            let request = Request::SyncRun { profile: profile.clone() };
            Call::Order { request, must_affect: false }
        }
        Command::Pkgs(command) => pkgs_plan(command)?,
        Command::Queue(QueueCommand::Ls { head, planned, how }) => {
            // The coordinator need not send what is not shown.
            let limit = how.limit.filter(|_| how.sort.is_empty());
            let limit = limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
            let limit = [*head, limit].into_iter().flatten().min();
            Call::Queue { planned: *planned, limit, how: how.clone() }
        }
        Command::Queue(QueueCommand::Push(push)) => push_plan(push, "queue push")?,
        Command::Queue(QueueCommand::Drop { selection }) => {
            order(Request::QueueDropAny { filters: selection.to_wire("queue drop")? })
        }
        Command::Quarantine(QuarantineCommand::Ls(how)) => Call::Quarantine(how.clone()),
        Command::Verify { file } => Call::Verify(file.clone()),
        Command::Completions { .. } | Command::Keygen { .. } => {
            return Err(Failure::Internal("this needs no coordinator".to_owned()));
        }
    })
}

fn push_plan(push: &PushArgs, order: &str) -> Result<Call, Failure> {
    let filters = push.selection.to_wire(order)?;
    let request = Request::QueuePushAny { filters, priority: push.priority };
    Ok(Call::Order { request, must_affect: true })
}

fn pkgs_plan(command: &PkgsCommand) -> Result<Call, Failure> {
    let (request, follow, raw, is_json) = match command {
        PkgsCommand::Ls { filter, how } => {
            return Ok(Call::Packages(filter.to_several()?, how.clone()));
        }
        PkgsCommand::Show { filter } => return Ok(Call::History(filter.to_one()?)),
        PkgsCommand::Requeue(push) => return push_plan(push, "pkgs requeue"),
        PkgsCommand::Log { filter, follow, raw } => {
            (Request::Log { filter: filter.to_one()?, follow: *follow }, *follow, *raw, false)
        }
        PkgsCommand::Diffoscope { filter, raw } => {
            (Request::Difference { filter: filter.to_one()? }, false, *raw, false)
        }
        PkgsCommand::Attestation { filter } => {
            let raw = !io::stdout().is_terminal();
            (Request::Attestation { filter: filter.to_one()? }, false, raw, true)
        }
    };
    Ok(Call::Content { request, follow, raw, is_json })
}

async fn carry_out(
    plan: &Call,
    session: &Session,
    show: Show,
    paging: &AtomicBool,
) -> Result<(), Failure> {
    match plan {
        Call::Status => status(session, show).await,
        Call::Invite { ttl_secs } => {
            single(session, &Request::Invite { ttl_secs: *ttl_secs }, show).await
        }
        Call::Packages(filters, how) => {
            let dated = Request::DatedPackages(filters.clone());
            let count = match listed::<DatedPackage>(session, &dated, show, how).await {
                // A coordinator of an earlier release does not know the question.
                Err(Failure::Refused { code: RefusalCode::Invalid, .. }) => {
                    let request = Request::PackagesOfAny(filters.clone());
                    listed::<DatedPackage>(session, &request, show, how).await?
                }
                listed => listed?,
            };
            nothing_matched(count, filters)
        }
        Call::History(filter) => print(&history::history(session, filter, show).await?).await,
        Call::Workers(how) => {
            let troubles = Troubles::ask(session, &Request::Troubles).await?;
            let troubles =
                troubles.only(|s| matches!(s, Subject::Worker(_) | Subject::Leftover(_)));
            workers(session, &troubles, show, how).await
        }
        Call::Profiles(how) => {
            let troubles = Troubles::ask(session, &Request::Troubles).await?;
            let troubles =
                troubles.only(|s| matches!(s, Subject::Profile(_) | Subject::Release { .. }));
            troubled::<Profile>(session, &Request::Profiles, &troubles, show, how).await
        }
        Call::Queue { planned, limit, how } => {
            let request = Request::Queue { planned: *planned, limit: *limit };
            let faults = Request::Faults(PackageFilter::default());
            let troubles = Troubles::ask(session, &faults).await?;
            troubled::<Queued>(session, &request, &troubles, show, how).await
        }
        Call::Quarantine(how) => {
            listed::<Quarantined>(session, &Request::Quarantine, show, how).await.map(drop)
        }
        Call::Verify(file) => {
            let checked = verify::verify(session, file, show.json).await?;
            print(&checked.text).await?;
            checked.result
        }
        Call::Order { request, must_affect } => {
            order(&mut session.ask(request).await?, *must_affect, show).await
        }
        Call::Content { request, follow, raw, is_json } => {
            let mut answer = session.ask(request).await?;
            let form = if show.json && *is_json {
                return attestation(&mut answer, show).await;
            } else if show.json {
                Form::json()
            } else if *raw {
                Form::Raw
            } else {
                Form::terminal()
            };
            bytes(&mut answer, *follow, form, show, paging).await
        }
    }
}

/// An empty list is an answer; a filter that matches nothing is usually a mistake in the filter.
fn nothing_matched(count: u64, filters: &[PackageFilter]) -> Result<(), Failure> {
    if count > 0 || filters == [PackageFilter::default()] {
        return Ok(());
    }
    Err(Failure::NothingMatched("no package matches".to_owned()))
}

async fn listed<R: Row>(
    session: &Session,
    request: &Request,
    show: Show,
    how: &ListArgs,
) -> Result<u64, Failure> {
    listed_as::<R>(session, request, show, how, &R::json).await
}

async fn listed_as<R: Row>(
    session: &Session,
    request: &Request,
    show: Show,
    how: &ListArgs,
    json: &dyn Fn(&R) -> String,
) -> Result<u64, Failure> {
    let mut answer = session.ask(request).await?;
    let mut output = Output::to(io::stdout());
    let listed = list::<R>(&mut answer, show, how, json, &mut output).await;
    let listed = settle(listed, output).await?;
    let is_all = match request {
        Request::PackagesOfAny(filters) => filters == &[PackageFilter::default()],
        Request::Queue { planned, .. } => !planned,
        _ => true,
    };
    if listed.count == 0 && is_all && !show.json {
        note(R::NOTHING);
    } else if listed.count == 0 && !show.json && matches!(request, Request::Queue { .. }) {
        note("the queue is empty: every job is decided or dropped");
    }
    if !listed.left_out.is_empty() && io::stderr().is_terminal() {
        note(&format!("left out: {}; --wide shows all", listed.left_out.join(", ")));
    }
    Ok(listed.count)
}

/// Workers; what their machines give to builds is for programs, too much for a table.
async fn workers(
    session: &Session,
    troubles: &Troubles,
    show: Show,
    how: &ListArgs,
) -> Result<(), Failure> {
    if !show.json {
        return troubled::<Worker>(session, &Request::Workers, troubles, show, how).await;
    }
    let known = Capabilities::ask(session).await?;
    let json = |row: &Worker| known.json(row.id, &troubles.json(row));
    listed_as::<Worker>(session, &Request::Workers, show, how, &json).await.map(drop)
}

/// A list, and behind it what is wrong with its rows.
async fn troubled<R: Troubled>(
    session: &Session,
    request: &Request,
    troubles: &Troubles,
    show: Show,
    how: &ListArgs,
) -> Result<(), Failure> {
    listed_as::<R>(session, request, show, how, &|row| troubles.json(row)).await?;
    let lines = if show.json { String::new() } else { troubles.lines(show.now) };
    if lines.is_empty() { Ok(()) } else { print(&format!("\n{lines}")).await }
}

/// What is wrong comes first.
async fn status(session: &Session, show: Show) -> Result<(), Failure> {
    let troubles = Troubles::ask(session, &Request::Troubles).await?;
    let status = match session.ask(&Request::Status).await?.single().await? {
        Response::Status(status) => status,
        other => return Err(misplaced(&other)),
    };
    if show.json {
        let mut row = StatusRow::from(&status);
        row.troubles = troubles.0.iter().map(TroubleRow::from).collect();
        return print(&(json::to_line(&row) + "\n")).await;
    }
    let lines = troubles.lines(show.now);
    let before = if lines.is_empty() { String::new() } else { format!("{lines}\n") };
    print(&(before + &status::text(&status, show))).await
}

/// What was read is written whatever happened; why writing failed is the better reason.
async fn settle<T>(result: Result<T, Failure>, output: Output) -> Result<T, Failure> {
    match (result, output.finish().await) {
        (Ok(value), finished) => finished.map(|()| value),
        (Err(Failure::OutputClosed), Err(why)) => Err(why),
        (Err(failure), _) => Err(failure),
    }
}

async fn single(session: &Session, request: &Request, show: Show) -> Result<(), Failure> {
    let text = match session.ask(request).await?.single().await? {
        Response::Invitation { token, expires } if show.json => {
            json::to_line(&InvitationRow::new(&token, expires)) + "\n"
        }
        Response::Invitation { token, expires } => {
            note(&format!("valid once, until {} UTC; keep it secret", human::time(expires)));
            if let Some(address) = own_machine(&token) {
                note(&format!(
                    "warning: it names {address}, where only this machine can connect: for workers \
                     on other machines set `listen` and `public_address` in [coordinator]"
                ));
            }
            printable(&token) + "\n"
        }
        other => return Err(misplaced(&other)),
    };
    print(&text).await
}

async fn order(answer: &mut Answer, must_affect: bool, show: Show) -> Result<(), Failure> {
    let (affected, said) = match answer.single().await? {
        Response::Done { affected, text } => (affected, text),
        other => return Err(misplaced(&other)),
    };
    let failed = must_affect && affected == 0;
    if show.json {
        print(&(json::to_line(&DoneRow { affected, text: &said }) + "\n")).await?;
    } else if !failed {
        print(&(printable(&said) + "\n")).await?;
    }
    if !failed {
        return Ok(());
    }
    let said = if said.is_empty() { "nothing matches".to_owned() } else { printable(&said) };
    Err(Failure::NothingMatched(said))
}

async fn bytes(
    answer: &mut Answer,
    follow: bool,
    form: Form,
    show: Show,
    paging: &AtomicBool,
) -> Result<(), Failure> {
    let first = content::first(answer, show).await?;
    let mut pager = if follow || show.json { None } else { content::pager() };
    let mut output = match pager.as_mut().and_then(|pager| pager.stdin.take()) {
        Some(stdin) => {
            paging.store(true, Ordering::Relaxed);
            Output::to(stdin)
        }
        None => Output::to(io::stdout()),
    };
    let shown = content::show(first, answer, form, follow, &mut output).await;
    let result = settle(shown, output).await;
    if let Some(mut pager) = pager {
        // The reader decides when the pager ends; its exit status says nothing about us.
        tokio::task::spawn_blocking(move || pager.wait()).await.ok();
        paging.store(false, Ordering::Relaxed);
    }
    result
}

/// What was signed, as one JSON object: every part is in it byte for byte.
async fn attestation(answer: &mut Answer, show: Show) -> Result<(), Failure> {
    let (mut piece, mut all) = (content::first(answer, show).await?, Vec::new());
    while let Some(bytes) = piece {
        all.extend_from_slice(&bytes);
        piece = match answer.next().await? {
            Some(Response::Chunk(bytes)) => Some(bytes),
            Some(other) => return Err(misplaced(&other)),
            None => None,
        };
    }
    print(&signed::attestation(&all)?).await
}

async fn print(text: &str) -> Result<(), Failure> {
    let mut output = Output::to(io::stdout());
    let written = output.write(text.as_bytes()).await;
    settle(written, output).await
}

/// One line for people on standard error.
pub fn note(text: &str) {
    // When standard error is gone nobody is there to be told.
    writeln!(io::stderr(), "{text}").ok();
}

fn tell_keys(keys: &Keys, endpoint: &str) {
    keys.skipped.iter().for_each(|skipped| note(skipped));
    let public = keys.identity.public_key();
    match &keys.path {
        Some(path) => note(&format!("our key is {public}, from {}", path.display())),
        None => note(&format!("no key file found; our key {public} is new and may only read")),
    }
    note(&match keys.coordinator {
        Some(pin) => format!("connecting to {endpoint}, which must have the key {pin}"),
        None => format!("connecting to {endpoint}, whoever answers there"),
    });
}

fn tell_session(session: &Session) {
    let welcome = &session.welcome;
    note(&format!(
        "connected to {} with the key {}; protocol version {}; we may {}",
        printable(&welcome.software),
        session.peer(),
        welcome.version,
        if welcome.admin { "change things" } else { "only read" },
    ));
}
