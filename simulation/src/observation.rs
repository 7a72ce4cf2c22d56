use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rebuilder_actors::domain::queue::{Job, JobPlace, Settings};
use rebuilder_actors::port::{Group, Op};
use rebuilder_actors::protocol::stored::{
    self, JobState, Outcome, Record, RecordError, ReportRecord, StoredPlace, WorkerRecord,
};
use rebuilder_actors::protocol::wire::Offer;
use rebuilder_actors::protocol::wire::v1::coordinator::Answer;
use rebuilder_actors::protocol::wire::v1::ctl::PackageFilter;
use rebuilder_actors::protocol::{
    AttemptId, Ending, GrantNumber, InputId, JobKey, PublicKey, UtcMillis, Verdict, WorkerId,
};

/// Jobs that an index names.
pub type Named = Arc<BTreeSet<Arc<JobKey>>>;

/// The job that a group is.
pub fn job_key(group: &Group) -> JobKey {
    JobKey {
        distribution: group.distribution.clone(),
        backend: group.distribution.clone(),
        source: group.source.clone(),
        version: group.version.clone(),
        architecture: group.architecture.clone(),
        input: group.input_name.clone(),
    }
}

/// What checkers see, in order. Of the coordinator only what left it, after its commit; what one
/// commit led to comes in this order: [`Wanted`](Self::Wanted), [`Stored`](Self::Stored) and
/// [`Enrolled`](Self::Enrolled) as they stand in the batch, [`Ordered`](Self::Ordered), the other
/// facts, [`Indexed`](Self::Indexed), sends.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A job's state is durable.
    Stored(InputId, Arc<JobState>),
    /// A worker's record is durable.
    Enrolled(PublicKey, WorkerId),
    /// An assignment was sent, perhaps again.
    Assigned {
        /// Its number.
        number: GrantNumber,
        /// The attempt.
        attempt: AttemptId,
        /// Index of the worker.
        worker: usize,
        /// The coordinator's wall clock, and the latest that it ever showed.
        utc: (UtcMillis, UtcMillis),
    },
    /// A report was accepted.
    Accepted(Arc<ReportRecord>, u64),
    /// A job moved.
    Placed(InputId, JobPlace),
    /// A job is new, or wanted otherwise.
    Wanted(Arc<Job>),
    /// A profile's index was taken in whole: it names these.
    Indexed(Box<str>, Named),
    /// An operator's order was carried out.
    Ordered(Directive),
    /// A worker was let in.
    Admitted {
        /// Index of the worker.
        worker: usize,
        /// Its key.
        key: PublicKey,
        /// What it can do.
        offer: Arc<Offer>,
    },
    /// A worker signed a report and keeps it.
    Signed {
        /// The attempt that the report names.
        attempt: AttemptId,
        /// Index of the worker.
        worker: usize,
        /// What it says.
        ending: Arc<Ending>,
        /// True when it was granted, and says what the builder really did.
        honest: bool,
    },
    /// A worker received a final answer.
    Answered {
        /// The attempt.
        attempt: AttemptId,
        /// Index of the worker.
        worker: usize,
        /// What it says.
        answer: Answer,
    },
    /// The coordinator received a status.
    Heard {
        /// Index of the worker.
        worker: usize,
        /// The newest grant that it knows.
        seen: GrantNumber,
        /// Attempts that occupy slots.
        running: Vec<AttemptId>,
        /// Attempts whose report waits for its answer.
        spooled: Vec<AttemptId>,
        /// The coordinator's wall clock.
        utc: UtcMillis,
        /// Bytes of memory that builds can use.
        free_memory: u64,
    },
    /// The coordinator noticed that a worker's connection is gone.
    Left(usize),
    /// A worker's process ended.
    WorkerCrashed(usize),
    /// A coordinator began, from what was durable.
    CoordinatorStarted,
    /// The coordinator's process ended.
    CoordinatorCrashed,
    /// The coordinator stood still for so many milliseconds; what came meanwhile it handles now.
    Stalled(u64),
    /// How much somebody holds of something that grows, now and then.
    Holds {
        /// Who, as in the trace.
        node: &'static str,
        /// What.
        what: &'static str,
        /// So many, or so many bytes.
        amount: u64,
        /// What it may be at most.
        limit: u64,
    },
    /// The trouble is over.
    Healed,
}

/// What an operator ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Queue again.
    Push(PackageFilter),
    /// Take out.
    Drop(PackageFilter),
}

/// How everything stands after it healed.
#[derive(Clone, Debug)]
pub struct End {
    /// What is durable.
    pub durable: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Every job that an index names.
    pub wanted: BTreeSet<JobKey>,
    /// The queue's settings.
    pub settings: Settings,
    /// Reports that workers still hold.
    pub spooled: usize,
}

impl Observation {
    /// What a durable write means to the checkers; `None`: nothing.
    ///
    /// # Errors
    /// A record that no release wrote.
    pub fn of_write(op: &Op) -> Result<Option<Self>, RecordError> {
        let Op::Put { key, value } = op else { return Ok(None) };
        match key.first() {
            Some(&JobState::TABLE) => {
                let (job, state) = stored::entry::<JobState>(key, value)?;
                Ok(Some(Self::Stored(job, Arc::new(state))))
            }
            Some(&WorkerRecord::TABLE) => {
                let (key, record) = stored::entry::<WorkerRecord>(key, value)?;
                Ok(Some(Self::Enrolled(key, record.id)))
            }
            _ => Ok(None),
        }
    }

    /// Who it is about, as the trace calls it.
    pub fn node(&self) -> String {
        match self {
            Self::Admitted { worker, .. }
            | Self::Signed { worker, .. }
            | Self::Answered { worker, .. }
            | Self::Heard { worker, .. }
            | Self::Left(worker)
            | Self::WorkerCrashed(worker) => format!("worker-{worker}"),
            Self::Ordered(_) => "operator".into(),
            Self::Healed => "everybody".into(),
            Self::Holds { node, .. } => (*node).into(),
            _ => "coordinator".into(),
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(id, state) => write!(f, "stored job {id}: {}", Shown(state)),
            Self::Enrolled(key, id) => write!(f, "enrolled {key} as worker {id}"),
            Self::Assigned { number, attempt, worker, .. } => {
                write!(f, "assigned attempt {attempt} to worker-{worker} as number {}", number.0)
            }
            Self::Accepted(record, sequence) => {
                let outcome = match &record.outcome {
                    Outcome::Verdicts(rows) => {
                        let worst = rows.iter().map(|(_, verdict, _)| *verdict).max();
                        worst.unwrap_or(Verdict::Reproduced).to_string()
                    }
                    Outcome::BuildFailed { .. } => "build failed".into(),
                    Outcome::Fault(fault) => format!("fault {}", fault.kind),
                };
                let (attempt, worker) = (record.attempt, record.worker);
                write!(f, "accepted report {sequence} of attempt {attempt} by worker {worker}: ")?;
                f.write_str(&outcome)
            }
            Self::Placed(id, place) => write!(f, "job {id} is now {place:?}"),
            Self::Wanted(job) => {
                let profiles: Vec<_> = job.memberships().into_iter().map(|m| m.profile).collect();
                write!(f, "job {} is {}, wanted by {profiles:?}", job.id, job.label())
            }
            Self::Indexed(profile, named) => write!(f, "profile {profile} names {}", named.len()),
            Self::Ordered(Directive::Push(filter)) => write!(f, "pushed {}", whose(filter)),
            Self::Ordered(Directive::Drop(filter)) => write!(f, "dropped {}", whose(filter)),
            Self::Admitted { offer, .. } => {
                write!(f, "admitted with {} slots for {:?}", offer.slots, offer.architectures)
            }
            Self::Signed { attempt, ending, honest, .. } => {
                let what = match &**ending {
                    Ending::Built(_) => "built".into(),
                    Ending::BuildFailed { .. } => "build failed".into(),
                    Ending::Fault(fault) => format!("fault {}", fault.kind),
                };
                write!(f, "signed attempt {attempt}: {what}{}", if *honest { "" } else { " (lie)" })
            }
            Self::Answered { attempt, answer, .. } => {
                write!(f, "was answered about attempt {attempt}: {answer:?}")
            }
            Self::Heard { seen, running, spooled, .. } => {
                let (running, spooled) = (Attempts(running), Attempts(spooled));
                write!(f, "is heard: runs {running}, keeps {spooled}, seen {}", seen.0)
            }
            Self::Left(_) => f.write_str("is gone, the coordinator notices"),
            Self::WorkerCrashed(_) => f.write_str("ended"),
            Self::CoordinatorStarted => f.write_str("started"),
            Self::CoordinatorCrashed => f.write_str("ended"),
            Self::Stalled(ms) => write!(f, "stood still for {ms} ms"),
            Self::Holds { what, amount, limit, .. } => {
                write!(f, "holds {amount} {what} of at most {limit}")
            }
            Self::Healed => f.write_str("healed: no more trouble"),
        }
    }
}

fn whose(filter: &PackageFilter) -> &str {
    filter.name.as_deref().unwrap_or("everything")
}

struct Attempts<'a>(&'a [AttemptId]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (n, attempt) in self.0.iter().enumerate() {
            write!(f, "{}{attempt}", if n == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// A state in a few words.
struct Shown<'a>(&'a JobState);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JobState { epoch, place, retries, faults, .. } = self.0;
        match place {
            StoredPlace::Queued { waiting, due } if due.0 == 0 => {
                write!(f, "queued with priority {}", waiting.priority)?;
            }
            StoredPlace::Queued { waiting, due } => {
                write!(f, "queued with priority {}, due {}", waiting.priority, due.0)?;
            }
            StoredPlace::Leased { worker, .. } => write!(f, "leased to worker {worker}")?,
            StoredPlace::Parked { fault, until, .. } => {
                write!(f, "parked for {} until {:?}", fault.kind, until.map(|until| until.0))?;
            }
            StoredPlace::Decided => f.write_str("decided")?,
            StoredPlace::Dropped => f.write_str("dropped")?,
        }
        write!(f, ", epoch {}, {retries} retries, {faults} faults", epoch.0)
    }
}
