use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ractor::ActorRef;
use rebuilder_actors::actor::coordinator::{Gone, Message, Services, services};
use rebuilder_actors::domain::architecture;
use rebuilder_actors::domain::results::{Packages, Profiles, Query, Rows, Workers};
use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::text::{counted, printable};
use rebuilder_actors::protocol::wire::v1::ctl::{
    Package, PackageFilter, PackageStatus, Profile, Queued, ShownPlace, Status, Worker,
};

use super::error::RoleError;
use super::expected::Expected;
use super::table;

/// A job that is due later than this is not waited for.
const SOON: Duration = Duration::from_secs(60);
/// Time between two looks; on a terminal also between two pictures.
const LOOK: Duration = Duration::from_millis(500);
/// Time between two lines where there is no terminal.
const LINE: u32 = 20;
/// Looks, 30 s, after which a coordinator that does not answer has given up.
const PATIENCE: u32 = 60;
/// Looks, 60 s, after which what does not change is not waited for.
const LONG: u32 = 120;
/// Looks, five minutes, for which a failed sync is tried again.
const SYNC_PATIENCE: u32 = 600;

/// What is waited for.
pub(super) struct Until<'a> {
    /// Profiles configured: each must have ended a sync of this process.
    pub(super) profiles: usize,
    /// A worker of this process explains differences.
    pub(super) diffoscope: bool,
    /// What the table is compared with.
    pub(super) expected: &'a Expected,
}

/// Shows progress until nothing is left to do, then a table of verdicts on standard output.
pub(super) async fn until_idle(
    tree: &ActorRef<Message>,
    until: &Until<'_>,
) -> Result<(), RoleError> {
    let bar = bar();
    let mut waits = Waits::default();
    let (mut looks, mut missed) = (0_u32, 0_u32);
    loop {
        match look(tree, until).await {
            Ok(look) => {
                missed = 0;
                let text = printable(&look.describe());
                bar.set_message(text.clone());
                bar.tick();
                if bar.is_hidden() && looks.is_multiple_of(LINE) {
                    tracing::info!(target: "rebuilder", "{text}");
                }
                if waits.over(&look) {
                    bar.finish_and_clear();
                    if let Some(asked) = &look.unfit {
                        tracing::warn!(
                            target: "rebuilder",
                            "no connected worker can do what is left ({}): {asked}",
                            counted(look.status.jobs.ready, "job")
                        );
                    }
                    table::print(&look.services, until.expected, look.unfit.as_deref()).await?;
                    return failed(&look.profiles);
                }
            }
            Err(gone) if missed >= PATIENCE => return Err(RoleError::GaveUp(gone.to_string())),
            Err(_) => missed += 1,
        }
        looks += 1;
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

/// How things are.
struct Look {
    services: Services,
    status: Status,
    profiles: Vec<Profile>,
    /// Every configured profile ended a sync of this process.
    synced: bool,
    /// One failed, and its next try is due soon or running: a server may be back by then.
    sync_due: bool,
    /// What the ready jobs ask for when none of the connected workers can do one of them.
    unfit: Option<String>,
    /// Artifacts whose difference a connected worker may still be making.
    unexplained: usize,
}

/// Takes the actors anew, as they may have been started again.
async fn look(tree: &ActorRef<Message>, until: &Until<'_>) -> Result<Look, Gone> {
    let services = services(tree).await?;
    // The profiles first: what a sync brought is in the status that is asked for after its end.
    let profiles = all(&services, &Profiles).await?;
    // Rows of profiles that are no longer configured never have a next sync.
    let ended = profiles.iter().filter(|profile| profile.next_at.is_some()).count();
    let synced = ended >= until.profiles;
    let status = services.status().await?;
    let now = services.clock.utc();
    let sync_due = profiles.iter().any(|profile| is_due_again(profile, now));
    let mut look =
        Look { services, status, profiles, synced, sync_due, unfit: None, unexplained: 0 };
    if !look.at_rest() {
        return Ok(look);
    }
    let services = &look.services;
    let mut workers = all(services, &Workers).await?;
    workers.retain(|worker| worker.address.is_some());
    if look.status.jobs.ready > 0 && !workers.is_empty() {
        look.unfit = unfit(services, &workers).await?;
    } else if until.diffoscope && look.status.jobs.ready == 0 {
        look.unexplained = unexplained(services, &workers).await?;
    }
    Ok(look)
}

/// True when the last sync failed and is tried again within [`SOON`].
fn is_due_again(profile: &Profile, now: UtcMillis) -> bool {
    profile.error.is_some() && profile.next_at.is_some_and(|next| next <= now.plus(SOON))
}

/// `debian/arm64, …`; `None` when a worker can do one of the ready jobs.
async fn unfit(services: &Services, workers: &[Worker]) -> Result<Option<String>, Gone> {
    let mut asked = BTreeSet::new();
    let rows = Rows { now: services.clock.utc(), planned: false };
    let each = |Queued { key, place, .. }| {
        if place == ShownPlace::Ready {
            asked.insert((key.backend.to_string(), key.architecture.to_string()));
        }
    };
    services.views.each(&rows, each).await.map_err(|_| Gone)?;
    let fits = |(backend, architecture): &(String, String)| {
        workers.iter().any(|worker| {
            worker.backends.contains(backend)
                && architecture::offers(&worker.architectures, architecture)
        })
    };
    if asked.is_empty() || asked.iter().any(fits) {
        return Ok(None);
    }
    let asked: Vec<String> = asked.iter().map(|(b, a)| format!("{b}/{a}")).collect();
    Ok(Some(asked.join(", ")))
}

/// Artifacts that differ, whose worker is here, and of which no difference is kept.
async fn unexplained(services: &Services, workers: &[Worker]) -> Result<usize, Gone> {
    let status = Some(PackageStatus::Differs);
    let differing = Packages(vec![PackageFilter { status, ..PackageFilter::default() }]);
    let rows = all(services, &differing).await?;
    let rows = rows.iter().map(|row| &row.package);
    let here = |package: &&Package| workers.iter().any(|w| Some(w.id) == package.worker);
    Ok(rows.filter(|package| !package.has_difference).filter(here).count())
}

/// All rows of what cannot be asked wrongly.
async fn all<Q: Query>(services: &Services, query: &Q) -> Result<Vec<Q::Row>, Gone> {
    let mut rows = Vec::new();
    services.views.each(query, |row| rows.push(row)).await.map_err(|_| Gone)?;
    Ok(rows)
}

/// How long nothing has changed, in looks.
#[derive(Default)]
struct Waits {
    /// Nothing but jobs that no worker can do.
    unfit: u32,
    /// The same differences are missing.
    unexplained: u32,
    missing: usize,
    /// A profile's sync failed and will be tried again soon.
    failing: u32,
}

impl Waits {
    /// True when nothing is left to wait for.
    fn over(&mut self, look: &Look) -> bool {
        let unfit = look.unfit.is_some();
        self.unfit = if unfit { self.unfit + 1 } else { 0 };
        let same = look.unexplained > 0 && look.unexplained == self.missing;
        self.unexplained = if same { self.unexplained + 1 } else { 0 };
        self.missing = look.unexplained;
        self.failing = if look.sync_due { self.failing + 1 } else { 0 };
        if look.sync_due && self.failing < SYNC_PATIENCE {
            return false;
        }
        if !look.at_rest() {
            return false;
        }
        if look.status.jobs.ready > 0 {
            return self.unfit >= LONG;
        }
        look.unexplained == 0 || self.unexplained >= LONG
    }
}

impl Look {
    /// Every sync ended, nothing runs, and nothing is due soon.
    fn at_rest(&self) -> bool {
        let jobs = &self.status.jobs;
        let soon = jobs.next_due_ms.is_some_and(|ms| u128::from(ms) <= SOON.as_millis());
        self.synced && jobs.running == 0 && !soon
    }

    /// `5 done, 2 running (ucf build 4 s, …), 7 waiting`.
    fn describe(&self) -> String {
        let jobs = &self.status.jobs;
        let rows = self.status.running.iter();
        let running: Vec<String> = rows
            .map(|job| {
                let stage = job.stage.map_or_else(|| "start".to_owned(), |s| s.to_string());
                format!("{} {stage} {} s", job.key.source, job.age_ms / 1000)
            })
            .collect();
        let shown =
            if running.is_empty() { String::new() } else { format!(" ({})", running.join(", ")) };
        let sync = match (self.synced, self.sync_due) {
            (false, _) => ", syncing",
            (true, true) => ", a failed sync is tried again",
            (true, false) => "",
        };
        let differences = match self.unexplained {
            0 => String::new(),
            missing => format!(", {missing} differences to come"),
        };
        format!(
            "{} done, {} running{shown}, {} waiting, {} parked{differences}{sync}",
            jobs.decided + jobs.delayed,
            jobs.running,
            jobs.ready,
            jobs.parked
        )
    }
}

/// What went wrong with profiles.
fn failed(profiles: &[Profile]) -> Result<(), RoleError> {
    let errors = profiles.iter().filter_map(|p| Some((&p.name, p.error.as_ref()?)));
    let failed: Vec<String> =
        errors.map(|(name, e)| printable(&format!("profile {name}: {e}"))).collect();
    if failed.is_empty() { Ok(()) } else { Err(RoleError::Profiles(failed.join("; "))) }
}
