//! Attempts at one job: the log of the newest one, also while it grows, and the list of all.

use core::future::{Future as _, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

use tokio::sync::oneshot;

use super::answer::{Answering, Left, Outcome};
use super::blobs::log_part;
use super::services::{Blob, Gone};
use super::{blobs, results};
use crate::domain::results::{KeptLog, LogPlace, ReadModel};
use crate::port::{StoreError, StoreRead};
use crate::protocol::stored::{self, Outcome as StoredOutcome, Record, ReportRecord};
use crate::protocol::wire::v1::ctl::{Package, PackageFilter, RefusalCode, Response};
use crate::protocol::wire::v1::history::{PastAttempt, PastOutcome};
use crate::protocol::{AttemptId, InputId, Verdict};

/// A reader that follows hears at least this often, so that its connection lives.
const FOLLOW: Duration = Duration::from_secs(10);

impl Answering {
    /// The newest log of a job; `follow`: of the attempt that runs, or of the one that is to begin
    /// as soon as a worker is free, until it ends, and how it ended.
    pub(super) async fn log(&mut self, filter: PackageFilter, follow: bool) -> Outcome {
        let Some(package) = self.one(filter, true).await? else { return Ok(()) };
        match self.place(package.job).await? {
            Some(LogPlace::Kept(kept)) => {
                self.kept(kept, 0).await?;
                if follow { self.ending(kept.attempt).await } else { Ok(()) }
            }
            Some(LogPlace::Growing(attempt, _)) => self.growing(attempt, follow).await,
            Some(LogPlace::Awaited(before)) if follow => self.awaited(package.job, before).await,
            Some(LogPlace::Awaited(Some(kept))) => self.kept(kept, 0).await,
            Some(LogPlace::Awaited(None)) | None => self.not_built(&package).await,
        }
    }

    async fn not_built(&mut self, package: &Package) -> Outcome {
        let text = format!("{} {} has not been built yet", package.source, package.version);
        self.refuse(RefusalCode::NotFound, &text).await
    }

    async fn place(&mut self, job: InputId) -> Result<Option<LogPlace>, Left> {
        let turn = self.turn().await?;
        let now = self.services.clock.utc();
        let place = self.services.views.look(|model| model.log(job, now)).await;
        drop(turn);
        match place {
            Ok(place) => Ok(place),
            Err(gone) => {
                self.refuse(RefusalCode::Internal, &gone.to_string()).await?;
                Err(Left)
            }
        }
    }

    async fn kept(&mut self, log: KeptLog, offset: u64) -> Outcome {
        if log.bytes == 0 {
            return Ok(());
        }
        self.whole(log.sha256, log.bytes, offset, "log").await
    }

    /// Waits until the next attempt of a job begins, and follows it; `before`: the newest log.
    async fn awaited(&mut self, job: InputId, before: Option<KeptLog>) -> Outcome {
        self.say("waits for a worker; the log of the next attempt follows").await?;
        loop {
            // First the watch, then the question: nothing falls between.
            let moved = self.watch_job(job);
            match self.place(job).await? {
                Some(LogPlace::Awaited(_)) => {}
                Some(LogPlace::Growing(attempt, _)) => return self.growing(attempt, true).await,
                // It began and ended between two looks.
                Some(LogPlace::Kept(kept)) if Some(kept) != before => {
                    self.kept(kept, 0).await?;
                    return self.ending(kept.attempt).await;
                }
                Some(LogPlace::Kept(_)) | None => {
                    return self.say("the job left the queue before an attempt began").await;
                }
            }
            if tokio::time::timeout(FOLLOW, moved).await.is_err() {
                self.row(Response::Chunk(bytes::Bytes::new())).await?;
            }
        }
    }

    /// What is there of a growing log, and, when followed, the rest as it comes.
    async fn growing(&mut self, attempt: AttemptId, follow: bool) -> Outcome {
        let part = log_part(attempt);
        let mut offset = 0;
        loop {
            // First the watches, then the read: nothing falls between.
            let (woken, wake) = oneshot::channel();
            let _ = self.services.blobs.cast(blobs::Message::Watch(part.clone(), woken));
            let moved = self.watch_job(attempt.job);
            offset = self.blob(Blob::Growing(part.clone()), offset).await?;
            if !follow {
                return Ok(());
            }
            let place = self.place(attempt.job).await?;
            if matches!(&place, Some(LogPlace::Growing(now, _)) if *now == attempt) {
                if tokio::time::timeout(FOLLOW, either(wake, moved)).await.is_err() {
                    self.row(Response::Chunk(bytes::Bytes::new())).await?;
                }
                continue;
            }
            // What another attempt wrote is no continuation of this.
            return match place.and_then(|place| place.kept_of(attempt)) {
                Some(kept) => {
                    self.kept(kept, offset).await?;
                    self.ending(attempt).await
                }
                None => self.say(&format!("attempt {attempt} was lost")).await,
            };
        }
    }

    /// The attempts at one job whose reports were accepted, newest first.
    pub(super) async fn history(&mut self, filter: PackageFilter) -> Outcome {
        let Some(package) = self.one(filter, true).await? else { return Ok(()) };
        let mut turn = self.turn().await?;
        let rows = self.past_attempts(package.job).await;
        turn.made();
        match rows {
            Ok(rows) => self.rows(rows.into_iter().map(Response::Attempt).collect()).await,
            Err(text) => self.refuse(RefusalCode::Internal, &text).await,
        }
    }

    async fn past_attempts(&mut self, job: InputId) -> Result<Vec<PastAttempt>, String> {
        let gone = |gone: Gone| gone.to_string();
        let services = &self.services;
        let numbers = services.views.look(|model| model.history(job)).await.map_err(gone)?;
        let read = move |store: &dyn StoreRead| -> Result<Vec<Option<bytes::Bytes>>, StoreError> {
            numbers.iter().map(|number| store.get(&ReportRecord::key(*number))).collect()
        };
        let values = services.read(read).await.map_err(gone)?;
        let values = values.map_err(|error| error.to_string())?;
        let records = values.iter().flatten().map(|value| stored::read(value));
        let records: Result<Vec<ReportRecord>, _> = records.collect();
        let records = records.map_err(|error| error.to_string())?;
        let rows = |model: &ReadModel| {
            let row = |record: &ReportRecord| PastAttempt {
                attempt: record.attempt,
                worker: record.worker,
                worker_name: model.worker_name(record.worker).to_owned(),
                accepted_at: record.accepted_at,
                started_at: record.started_at,
                finished_at: record.finished_at,
                build: record.build,
                outcome: past(&record.outcome),
            };
            records.iter().map(row).collect()
        };
        services.views.look(rows).await.map_err(gone)
    }

    /// Wakes when the place of a job changes, or an attempt at it is reported.
    fn watch_job(&self, job: InputId) -> oneshot::Receiver<()> {
        let (moved, wake) = oneshot::channel();
        let _ = self.services.results.cast(results::Message::Watch(job, moved));
        wake
    }

    /// The last line of a log that is followed: how its attempt ended.
    async fn ending(&mut self, attempt: AttemptId) -> Outcome {
        let ending = self.services.views.look(|model| model.ending(attempt)).await.ok().flatten();
        let ending = ending.unwrap_or_else(|| "a later attempt was reported".to_owned());
        self.say(&format!("attempt {attempt} ended: {ending}")).await
    }

    /// A line of the coordinator's own behind that of the build.
    async fn say(&mut self, text: &str) -> Outcome {
        self.row(Response::Chunk(format!("\nrebuilder: {text}\n").into())).await
    }
}

/// Waits for one of two; in this order, so that the same run is the same twice.
async fn either(mut first: oneshot::Receiver<()>, mut second: oneshot::Receiver<()>) {
    poll_fn(|context| {
        let is_one = Pin::new(&mut first).poll(context).is_ready()
            || Pin::new(&mut second).poll(context).is_ready();
        if is_one { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn past(outcome: &StoredOutcome) -> PastOutcome {
    match outcome {
        StoredOutcome::Verdicts(rows) => {
            let count = |verdict| {
                let same = rows.iter().filter(|(_, said, _)| *said == verdict).count();
                u32::try_from(same).unwrap_or(u32::MAX)
            };
            PastOutcome::Verdicts {
                reproduced: count(Verdict::Reproduced),
                differs: count(Verdict::Differs),
                missing: count(Verdict::Missing),
            }
        }
        StoredOutcome::BuildFailed { reason } => {
            PastOutcome::BuildFailed { reason: reason.clone() }
        }
        StoredOutcome::Fault(fault) => PastOutcome::Fault(fault.clone()),
    }
}
