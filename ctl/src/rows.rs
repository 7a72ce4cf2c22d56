//! What the tables show of each kind of row.

use rebuilder_actors::domain::report::key_id;
use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::wire::v1::ctl::{
    Package, Profile, Queued, Response, RunningJob, ShownPlace, Worker,
};
use rebuilder_actors::protocol::wire::v1::history::{DatedPackage, FirstTimes};

use crate::json::{self, PackageRow, ProfileRow, QuarantinedRow, QueuedRow, RunningRow, WorkerRow};
use crate::list::Row;
use crate::table::{Column, Tone};
use crate::{human, words};

/// For what is not there.
const NONE: &str = "-";

fn or_none(text: Option<&str>) -> String {
    text.unwrap_or(NONE).to_owned()
}

fn words_of(list: &[String]) -> String {
    if list.is_empty() { NONE.to_owned() } else { list.join(",") }
}

impl Row for Package {
    const COLUMNS: &'static [Column] = &[
        Column::always("STATUS").cut(12),
        Column::always("NAME").cut(16),
        Column::always("VERSION").cut(8),
        Column::out("ARCH", 8),
        Column::out("SOURCE", 6).cut(12),
        Column::out("DISTRIBUTION", 1),
        Column::out("RELEASE", 3),
        Column::out("COMPONENT", 2),
        Column::out("GATE", 7),
        Column::out("BUILT", 4),
        Column::out("NOTE", 9).cut(12),
    ];
    const SORTED: &'static [&'static str] = &["NAME", "DISTRIBUTION", "RELEASE", "ARCH", "VERSION"];
    const NOTHING: &'static str =
        "no packages are known yet: `profile ls` shows what is followed, and how its sync stands";

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        match response {
            Response::Package(row) => Ok(row),
            other => Err(Box::new(other)),
        }
    }

    fn cells(&self, _now: UtcMillis) -> Vec<String> {
        vec![
            words::shown_status(self),
            self.name.clone(),
            self.version.clone(),
            self.architecture.clone(),
            self.source.clone(),
            self.distribution.clone(),
            or_none(self.release.as_deref()),
            or_none(self.component.as_deref()),
            words::gate(self).to_owned(),
            self.built_at.map_or_else(|| NONE.to_owned(), human::time),
            note(self),
        ]
    }

    fn tone(&self) -> Tone {
        words::tone(self)
    }

    fn json(&self) -> String {
        json::to_line(&PackageRow::new(self, FirstTimes::default()))
    }
}

/// A package with its times: these are for `--json` and `pkgs show`.
impl Row for DatedPackage {
    const COLUMNS: &'static [Column] = Package::COLUMNS;
    const SORTED: &'static [&'static str] = Package::SORTED;
    const NOTHING: &'static str = Package::NOTHING;

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        match response {
            Response::DatedPackage(row) => Ok(row),
            // Of a coordinator that knows no times.
            other => {
                let package = Package::from_response(other)?;
                Ok(Self { package, times: FirstTimes::default() })
            }
        }
    }

    fn cells(&self, now: UtcMillis) -> Vec<String> {
        self.package.cells(now)
    }

    fn number(&self, column: &str) -> Option<i64> {
        self.package.number(column)
    }

    fn tone(&self) -> Tone {
        self.package.tone()
    }

    fn json(&self) -> String {
        json::to_line(&PackageRow::new(&self.package, self.times))
    }
}

/// The fault and the reason, whichever are there, and why distributions may not gate on it.
fn note(package: &Package) -> String {
    let fault = package.fault.map(words::whole_fault);
    let parts = [fault, package.reason.clone()].into_iter().flatten();
    let mut note = parts.collect::<Vec<_>>().join(": ");
    let weak = words::not_of_gate_grade(package);
    if let Some(weak) = weak {
        note = if note.is_empty() { weak } else { format!("{note}; {weak}") };
    }
    note
}

impl Row for Queued {
    const COLUMNS: &'static [Column] = &[
        Column::always("PLACE"),
        Column::out("PRIORITY", 5),
        Column::out("QUEUED", 4),
        Column::always("SOURCE").cut(16),
        Column::always("VERSION").cut(8),
        Column::out("ARCH", 8),
        Column::out("DISTRIBUTION", 1),
        Column::out("RELEASES", 2).cut(10),
        Column::out("ATTEMPTS", 6),
        Column::out("JOB", 3),
        Column::out("NOTE", 9).cut(16),
    ];
    const NOTHING: &'static str =
        "nothing is ready or running; --planned shows what waits for its time or is parked";

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        match response {
            Response::Queued(row) => Ok(row),
            other => Err(Box::new(other)),
        }
    }

    fn cells(&self, now: UtcMillis) -> Vec<String> {
        let (place, note) = match &self.place {
            ShownPlace::Ready => ("ready", String::new()),
            ShownPlace::Delayed { until } => ("delayed", format!("until {}", human::time(*until))),
            ShownPlace::Running { worker, since } => {
                ("running", format!("worker {worker}, started {}", human::ago(now, *since)))
            }
            ShownPlace::Parked { reason, until: None } => ("parked", reason.clone()),
            ShownPlace::Parked { reason, until: Some(until) } => {
                ("parked", format!("{reason}; tried again {}", human::time(*until)))
            }
        };
        vec![
            place.to_owned(),
            self.priority.to_string(),
            human::time(self.queued_at),
            self.key.source.to_string(),
            self.key.version.to_string(),
            self.key.architecture.to_string(),
            self.key.distribution.to_string(),
            words_of(&self.releases),
            self.attempts.to_string(),
            self.job.to_string(),
            note,
        ]
    }

    fn tone(&self) -> Tone {
        match self.place {
            ShownPlace::Running { .. } => Tone::Good,
            ShownPlace::Parked { .. } => Tone::Doubtful,
            ShownPlace::Ready | ShownPlace::Delayed { .. } => Tone::Plain,
        }
    }

    fn json(&self) -> String {
        json::to_line(&QueuedRow::from(self))
    }
}

impl Row for Worker {
    const COLUMNS: &'static [Column] = &[
        Column::always("STATE"),
        Column::out("ID", 10),
        Column::always("NAME").cut(12),
        Column::out("ADDRESS", 6),
        Column::out("SEEN", 8),
        Column::out("RUNNING", 9),
        Column::out("BACKENDS", 5).cut(8),
        Column::out("ARCHITECTURES", 4).cut(13),
        Column::out("FREE MEMORY", 3),
        Column::out("FREE DISK", 7),
        Column::out("KEY", 2).cut(17),
        Column::out("KEY ID", 1).cut(17),
    ];
    const NOTHING: &'static str = "no worker was ever let in: `worker invite` makes an invitation";

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        match response {
            Response::Worker(row) => Ok(row),
            other => Err(Box::new(other)),
        }
    }

    fn cells(&self, now: UtcMillis) -> Vec<String> {
        let told = |bytes| if self.address.is_some() { human::bytes(bytes) } else { NONE.into() };
        vec![
            worker_state(self).to_owned(),
            self.id.to_string(),
            self.name.clone(),
            or_none(self.address.as_deref()),
            self.last_seen.map_or_else(|| NONE.to_owned(), |seen| human::ago(now, seen)),
            format!("{}/{}", self.running, self.slots),
            words_of(&self.backends),
            words_of(&self.architectures),
            told(self.free_memory),
            told(self.free_disk),
            self.key.to_string(),
            key_id(&self.key),
        ]
    }

    fn number(&self, column: &str) -> Option<i64> {
        match column {
            "SEEN" => Some(self.last_seen.map_or(i64::MIN, |seen| seen.0)),
            "FREE MEMORY" => i64::try_from(self.free_memory).ok(),
            "FREE DISK" => i64::try_from(self.free_disk).ok(),
            _ => None,
        }
    }

    fn tone(&self) -> Tone {
        match worker_state(self) {
            "revoked" => Tone::Bad,
            "offline" => Tone::Doubtful,
            _ => Tone::Good,
        }
    }

    fn json(&self) -> String {
        json::to_line(&WorkerRow::from(self))
    }
}

fn worker_state(worker: &Worker) -> &'static str {
    match (worker.revoked, worker.address.is_some(), worker.running) {
        (true, _, _) => "revoked",
        (false, false, _) => "offline",
        (false, true, 0) => "idle",
        (false, true, _) => "busy",
    }
}

impl Row for Profile {
    const COLUMNS: &'static [Column] = &[
        Column::always("PROFILE").cut(12),
        Column::out("DISTRIBUTION", 1),
        Column::always("JOBS"),
        Column::out("ARTIFACTS", 4),
        Column::out("SYNCED", 5),
        Column::out("TOOK", 2),
        Column::out("NEXT", 3),
        Column::out("ERROR", 6).cut(20),
    ];
    const NOTHING: &'static str = "no profile is configured: a table [profile.\"NAME\"] in the \
                                   coordinator's file says what to follow";

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        match response {
            Response::Profile(row) => Ok(row),
            other => Err(Box::new(other)),
        }
    }

    fn cells(&self, _now: UtcMillis) -> Vec<String> {
        let took = self.synced_at.map(|_| human::duration(self.synced_in_ms));
        vec![
            self.name.clone(),
            self.distribution.clone(),
            self.jobs.to_string(),
            self.artifacts.to_string(),
            self.synced_at.map_or_else(|| "never".to_owned(), human::time),
            or_none(took.as_deref()),
            self.next_at.map_or_else(|| "now".to_owned(), human::time),
            self.error.clone().unwrap_or_default(),
        ]
    }

    fn number(&self, column: &str) -> Option<i64> {
        if column == "TOOK" { i64::try_from(self.synced_in_ms).ok() } else { None }
    }

    fn tone(&self) -> Tone {
        if self.error.is_some() { Tone::Bad } else { Tone::Plain }
    }

    fn json(&self) -> String {
        json::to_line(&ProfileRow::from(self))
    }
}

/// A row of `quarantine ls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Which actor.
    pub actor: String,
    /// The message and the panic.
    pub text: String,
    /// When.
    pub at: UtcMillis,
}

impl Row for Quarantined {
    const COLUMNS: &'static [Column] =
        &[Column::always("TIME"), Column::out("ACTOR", 1), Column::always("MESSAGE").cut(20)];
    const NOTHING: &'static str = "nothing is set aside";

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        match response {
            Response::Quarantined { actor, text, at } => Ok(Self { actor, text, at }),
            other => Err(Box::new(other)),
        }
    }

    fn cells(&self, _now: UtcMillis) -> Vec<String> {
        vec![human::time(self.at), self.actor.clone(), self.text.clone()]
    }

    fn json(&self) -> String {
        let at = human::rfc3339(self.at);
        json::to_line(&QuarantinedRow { actor: &self.actor, text: &self.text, at })
    }
}

impl Row for RunningJob {
    const COLUMNS: &'static [Column] = &[
        Column::always("STAGE"),
        Column::always("SOURCE").cut(16),
        Column::always("VERSION").cut(8),
        Column::out("ARCH", 2),
        Column::out("DISTRIBUTION", 1),
        Column::out("WORKER", 5).cut(10),
        Column::out("SINCE", 6),
        Column::out("LOG", 3),
        Column::out("ATTEMPT", 4),
    ];
    const NOTHING: &'static str = "nothing runs";

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        Err(Box::new(response))
    }

    fn cells(&self, _now: UtcMillis) -> Vec<String> {
        vec![
            self.stage.map_or("starting", words::stage).to_owned(),
            self.key.source.to_string(),
            self.key.version.to_string(),
            self.key.architecture.to_string(),
            self.key.distribution.to_string(),
            self.worker_name.clone(),
            human::duration(self.age_ms),
            human::bytes(self.log_bytes),
            self.attempt.to_string(),
        ]
    }

    fn json(&self) -> String {
        json::to_line(&RunningRow::from(self))
    }
}
