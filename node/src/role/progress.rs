use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rebuilder_actors::actor::coordinator::{House, queue, results};
use rebuilder_actors::domain::queue::Query;
use rebuilder_actors::protocol::EnvironmentKnowledge;
use rebuilder_actors::protocol::wire::v1::ctl::{
    Package, PackageFilter, PackageStatus, Profile, Response, Status,
};

use super::error::RoleError;

/// A job that is due later than this is not waited for.
const SOON: Duration = Duration::from_secs(60);
/// Time between two looks; on a terminal also between two pictures.
const LOOK: Duration = Duration::from_millis(500);
/// Time between two lines where there is no terminal.
const LINE: u32 = 20;

/// Shows progress until nothing is left to do, then a table of verdicts on standard output.
pub(super) async fn until_idle(house: &House) -> Result<(), RoleError> {
    let bar = bar();
    let mut looks = 0_u32;
    loop {
        let (status, profiles) = look(house).await?;
        let synced = profiles.iter().all(|p| p.synced_at.is_some() || p.error.is_some());
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
            return finish(house, &profiles).await;
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
    let ask = |reply| queue::Message::Ask(Query::Status, reply);
    let rows = house.ask(&house.queue, ask).await.map_err(gone)?;
    let profiles = house.ask(&house.results, results::Message::Profiles).await.map_err(gone)?;
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

/// The table, and what went wrong with profiles.
async fn finish(house: &House, profiles: &[Profile]) -> Result<(), RoleError> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PACKAGE", "VERSION", "ARCH", "RESULT", "EVIDENCE", "WHY"]);
    let mut counts = std::collections::BTreeMap::new();
    for package in packages(house).await? {
        *counts.entry(package.status).or_insert(0_u32) += 1;
        let evidence = package.evidence.map_or_else(String::new, |e| {
            format!(
                "index {:?}, environment {:?}, isolation {:?}",
                e.index, e.environment, e.isolation
            )
            .to_lowercase()
        });
        let why = why(&package);
        let row = [&package.name, &package.version, &package.architecture];
        let mut row: Vec<String> = row.into_iter().cloned().collect();
        row.extend([word(&package).to_owned(), evidence, why]);
        table.add_row(row);
    }
    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    {
        println!("{}", table.trim_fmt());
        let total = counts.iter().map(|(status, n)| format!("{n} {}", plain(*status)));
        println!("\n{}", total.collect::<Vec<_>>().join(", "));
    }
    let failed: Vec<String> = profiles
        .iter()
        .filter_map(|p| p.error.as_ref().map(|error| format!("profile {}: {error}", p.name)))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(RoleError::Start(failed.join("; "))) }
}

async fn packages(house: &House) -> Result<Vec<Package>, RoleError> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let filter = PackageFilter::default();
        let ask = |reply| results::Message::Packages { filter, after, limit: 500, reply };
        let page = house.ask(&house.results, ask).await;
        let page = page.map_err(|gone| RoleError::GaveUp(gone.to_string()))?;
        let page = page.map_err(|error| RoleError::GaveUp(error.to_string()))?;
        rows.extend(page.rows);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    rows.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(rows)
}

fn word(package: &Package) -> &'static str {
    let assumed = package.evidence.is_some_and(|e| e.environment == EnvironmentKnowledge::Suite);
    match package.status {
        PackageStatus::Differs if assumed => "Differs (assumed environment)",
        status => plain(status),
    }
}

fn plain(status: PackageStatus) -> &'static str {
    match status {
        PackageStatus::Reproduced => "Reproduced",
        PackageStatus::Differs => "Differs",
        PackageStatus::Missing => "Missing",
        PackageStatus::BuildFailed => "BuildFailed",
        PackageStatus::Unknown => "Unknown",
        PackageStatus::Parked => "Parked",
    }
}

fn why(package: &Package) -> String {
    match (&package.reason, package.has_difference) {
        (Some(reason), _) => reason.clone(),
        (None, true) => format!("rebuilder-ctl pkgs diffoscope --name {}", package.name),
        (None, false) => String::new(),
    }
}
