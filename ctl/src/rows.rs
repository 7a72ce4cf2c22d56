//! What the tables show of each kind of row.

use rebuilder_actors::port::UtcMillis;
use rebuilder_actors::protocol::wire::v1::ctl::{
    Package, Place, Profile, Queued, Response, RunningJob, Worker,
};

use crate::human;
use crate::json::{self, PackageRow, ProfileRow, QuarantinedRow, QueuedRow, RunningRow, WorkerRow};
use crate::list::Row;
use crate::table::Tone;
use crate::words;

/// For what is not there.
const NONE: &str = "-";

fn or_none(text: Option<&str>) -> String {
    text.unwrap_or(NONE).to_owned()
}

fn words_of(list: &[String]) -> String {
    if list.is_empty() { NONE.to_owned() } else { list.join(",") }
}

impl Row for Package {
    const HEADER: &'static [&'static str] = &[
        "STATUS",
        "NAME",
        "VERSION",
        "ARCH",
        "DISTRIBUTION",
        "RELEASE",
        "COMPONENT",
        "GATE",
        "BUILT",
        "NOTE",
    ];

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
            self.distribution.clone(),
            or_none(self.release.as_deref()),
            or_none(self.component.as_deref()),
            if self.gate_grade { "yes" } else { NONE }.to_owned(),
            self.built_at.map_or_else(|| NONE.to_owned(), human::time),
            note(self),
        ]
    }

    fn tone(&self) -> Tone {
        words::tone(self)
    }

    fn json(&self) -> String {
        json::to_line(&PackageRow::from(self))
    }
}

/// The fault and the reason, whichever are there.
fn note(package: &Package) -> String {
    match (package.fault, &package.reason) {
        (Some(fault), Some(reason)) => format!("{fault}: {reason}"),
        (Some(fault), None) => fault.to_string(),
        (None, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    }
}

impl Row for Queued {
    const HEADER: &'static [&'static str] = &[
        "PLACE",
        "PRIORITY",
        "QUEUED",
        "SOURCE",
        "VERSION",
        "ARCH",
        "DISTRIBUTION",
        "RELEASES",
        "ATTEMPTS",
        "JOB",
        "NOTE",
    ];

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        match response {
            Response::Queued(row) => Ok(row),
            other => Err(Box::new(other)),
        }
    }

    fn cells(&self, now: UtcMillis) -> Vec<String> {
        let (place, note) = match &self.place {
            Place::Ready => ("ready", String::new()),
            Place::Delayed { until } => ("delayed", format!("until {}", human::time(*until))),
            Place::Running { worker, since } => {
                ("running", format!("worker {worker}, started {}", human::ago(now, *since)))
            }
            Place::Parked { reason, until: None } => ("parked", reason.clone()),
            Place::Parked { reason, until: Some(until) } => {
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
            Place::Running { .. } => Tone::Good,
            Place::Parked { .. } => Tone::Doubtful,
            Place::Ready | Place::Delayed { .. } => Tone::Plain,
        }
    }

    fn json(&self) -> String {
        json::to_line(&QueuedRow::from(self))
    }
}

impl Row for Worker {
    const HEADER: &'static [&'static str] = &[
        "STATE",
        "ID",
        "NAME",
        "ADDRESS",
        "SEEN",
        "RUNNING",
        "BACKENDS",
        "ARCHITECTURES",
        "FREE MEMORY",
        "FREE DISK",
        "KEY",
    ];

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
        ]
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
    const HEADER: &'static [&'static str] =
        &["PROFILE", "DISTRIBUTION", "JOBS", "ARTIFACTS", "SYNCED", "TOOK", "NEXT", "ERROR"];

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
    const HEADER: &'static [&'static str] = &["TIME", "ACTOR", "MESSAGE"];

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
    const HEADER: &'static [&'static str] = &[
        "STAGE",
        "SOURCE",
        "VERSION",
        "ARCH",
        "DISTRIBUTION",
        "WORKER",
        "SINCE",
        "LOG",
        "ATTEMPT",
    ];

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
