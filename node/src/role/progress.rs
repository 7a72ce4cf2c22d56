use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rebuilder_actors::actor::coordinator::{House, queue, results};
use rebuilder_actors::domain::queue::Query;
use rebuilder_actors::protocol::wire::v1::ctl::{Profile, Response, Status};

use super::error::RoleError;
use super::expected::Expected;
use super::table;

/// A job that is due later than this is not waited for.
const SOON: Duration = Duration::from_secs(60);
/// Time between two looks; on a terminal also between two pictures.
const LOOK: Duration = Duration::from_millis(500);
/// Time between two lines where there is no terminal.
const LINE: u32 = 20;

/// Shows progress until the indexes of all `configured` profiles were looked at and nothing is left
/// to do, then a table of verdicts on standard output.
pub(super) async fn until_idle(
    house: &House,
    configured: &[String],
    expected: &Expected,
) -> Result<(), RoleError> {
    let bar = bar();
    let mut looks = 0_u32;
    loop {
        let (status, profiles) = look(house).await?;
        // The next look is set when this process has ended one, not by what an earlier one stored.
        let is_synced =
            |name: &String| profiles.iter().any(|p| p.name == *name && p.next_at.is_some());
        let synced = configured.iter().all(is_synced);
        let jobs = &status.jobs;
        let soon = jobs.next_due_ms.is_some_and(|ms| ms <= SOON.as_millis() as u64);
        let text = describe(&status, synced);
        bar.set_message(text.clone());
        bar.tick();
        if bar.is_hidden() && looks.is_multiple_of(LINE) {
            tracing::info!(target: "rebuilder", "{text}");
        }
        looks += 1;
        if synced && jobs.ready == 0 && jobs.running == 0 && !soon {
            bar.finish_and_clear();
            table::print(house, expected).await?;
            return failed(&profiles);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn bar() -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(4)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("{spinner} {wide_msg}");
    bar.with_style(style.expect("the template is a constant"))
}

async fn look(house: &House) -> Result<(Status, Vec<Profile>), RoleError> {
    let gone = |e: rebuilder_actors::actor::coordinator::Gone| RoleError::GaveUp(e.to_string());
    // Profiles first: the jobs of a look that ended are in the queue.
    let profiles = house.ask(&house.results, results::Message::Profiles).await.map_err(gone)?;
    let ask = |reply| queue::Message::Ask(Query::Status, reply);
    let rows = house.ask(&house.queue, ask).await.map_err(gone)?;
    match rows.into_iter().next() {
        Some(Response::Status(status)) => Ok((status, profiles)),
        _ => Err(RoleError::GaveUp("the queue has no status".into())),
    }
}

/// `5 done, 2 running (ucf build 4 s, …), 7 waiting`.
fn describe(status: &Status, synced: bool) -> String {
    let jobs = &status.jobs;
    let running: Vec<String> = status
        .running
        .iter()
        .map(|job| {
            let stage = job.stage.map_or_else(|| "start".to_owned(), |stage| stage.to_string());
            format!("{} {stage} {} s", job.key.source, job.age_ms / 1000)
        })
        .collect();
    let shown =
        if running.is_empty() { String::new() } else { format!(" ({})", running.join(", ")) };
    let sync = if synced { "" } else { ", syncing" };
    format!(
        "{} done, {} running{shown}, {} waiting, {} parked{sync}",
        jobs.decided + jobs.delayed,
        jobs.running,
        jobs.ready,
        jobs.parked
    )
}

/// What went wrong with profiles.
fn failed(profiles: &[Profile]) -> Result<(), RoleError> {
    let errors = profiles.iter().filter_map(|p| Some((&p.name, p.error.as_ref()?)));
    let failed: Vec<String> = errors.map(|(name, e)| format!("profile {name}: {e}")).collect();
    if failed.is_empty() { Ok(()) } else { Err(RoleError::Start(failed.join("; "))) }
}
