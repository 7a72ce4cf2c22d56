//! Answers to ctl that take more than one frame.

use core::future::{Future as _, poll_fn};
use core::pin::pin;
use core::task::Poll;

use super::matches::{Found, Matches};
use super::queue;
use super::services::{Blob, Gone, Services};
use super::turn::{Reader, Turn};
use crate::domain::queue::Order;
use crate::domain::report;
use crate::domain::results::{FaultPage, PackagePage, ReadModel};
use crate::port::FrameSend;
use crate::protocol::stored::{self, Record};
use crate::protocol::wire::v1::ctl::{Package, PackageFilter, RefusalCode, Response};
use crate::protocol::{InputId, Sha256, SignedLink, SignedReport, Verdict, wire};

/// `Err`: the reader went away.
pub(super) type Outcome = Result<(), Left>;

/// The reader went away.
pub(super) struct Left;

/// Rows in one look at the read model: with up to a kilobyte each, a page has the size of a piece
/// of a log.
const PAGE: usize = 200;
/// Rows that are encoded and sent before others have their turn: about a tenth of a millisecond.
const ROWS_AT_ONCE: usize = 8;
/// Bytes in one chunk.
const CHUNK: usize = 64 << 10;
/// Bytes read in one turn of the blobs: their owner is asked as seldom as memory allows, of which
/// each reader takes so much.
const TURN: usize = 256 << 10;

/// One answer on its way.
pub(super) struct Answering {
    pub(super) services: Services,
    pub(super) reader: Reader,
    pub(super) sender: Box<dyn FrameSend>,
}

impl Answering {
    pub(super) async fn row(&mut self, row: Response) -> Outcome {
        self.sender.send(wire::encode(&row)).await.map_err(|_| Left)
    }

    /// Waits for a turn to make the next piece; `Err`, and nothing is made, when the reader left
    /// meanwhile.
    pub(super) async fn turn(&mut self) -> Result<Turn, Left> {
        let mut stopped = pin!(self.sender.stopped());
        let mut turn = pin!(self.reader.turn());
        // In this order: a turn is not taken for a reader that has left.
        poll_fn(|context| {
            if stopped.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Left));
            }
            turn.as_mut().poll(context).map(Ok)
        })
        .await
    }

    pub(super) async fn rows(&mut self, rows: Vec<Response>) -> Outcome {
        for (number, row) in rows.into_iter().enumerate() {
            // A window takes hundreds of rows without a wait: what belongs to workers would stand
            // behind all of them in the queue of tasks.
            if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            self.row(row).await?;
        }
        Ok(())
    }

    pub(super) async fn refuse(&mut self, code: RefusalCode, text: &str) -> Outcome {
        self.row(Response::Refused { code, text: text.into() }).await
    }

    pub(super) async fn status(&mut self) -> Outcome {
        let mut turn = self.turn().await?;
        let status = self.services.status(self.reader.moment_age()).await;
        turn.made();
        match status {
            Ok(status) => self.row(Response::Status(status)).await,
            Err(gone) => self.refuse(RefusalCode::Internal, &gone.to_string()).await,
        }
    }

    pub(super) async fn workers(&mut self) -> Outcome {
        let mut turn = self.turn().await?;
        let moment = self.services.moment(self.reader.moment_age()).await;
        turn.made();
        match moment {
            Ok(moment) => {
                self.rows(moment.workers.iter().cloned().map(Response::Worker).collect()).await
            }
            Err(gone) => self.refuse(RefusalCode::Internal, &gone.to_string()).await,
        }
    }

    pub(super) async fn profiles(&mut self) -> Outcome {
        let mut turn = self.turn().await?;
        let rows = self.services.views.look(ReadModel::profiles).await;
        turn.made();
        match rows {
            Ok(rows) => self.rows(rows.into_iter().map(Response::Profile).collect()).await,
            Err(gone) => self.refuse(RefusalCode::Internal, &gone.to_string()).await,
        }
    }

    /// What is wrong with workers, then with profiles.
    pub(super) async fn troubles(&mut self) -> Outcome {
        let mut turn = self.turn().await?;
        let moment = self.services.moment(self.reader.moment_age()).await;
        let profiles = self.services.views.look(ReadModel::troubles).await;
        turn.made();
        match (moment, profiles) {
            (Ok(moment), Ok(profiles)) => {
                let rows = moment.troubles.iter().cloned().chain(profiles);
                self.rows(rows.map(Response::Trouble).collect()).await
            }
            (Err(gone), _) | (_, Err(gone)) => {
                self.refuse(RefusalCode::Internal, &gone.to_string()).await
            }
        }
    }

    /// What the machines of workers give to builds.
    pub(super) async fn capabilities(&mut self) -> Outcome {
        let mut turn = self.turn().await?;
        let moment = self.services.moment(self.reader.moment_age()).await;
        turn.made();
        match moment {
            Ok(moment) => {
                let rows = moment.capabilities.iter().cloned().map(Response::Capabilities);
                self.rows(rows.collect()).await
            }
            Err(gone) => self.refuse(RefusalCode::Internal, &gone.to_string()).await,
        }
    }

    /// The last faults of jobs, page by page.
    pub(super) async fn faults(&mut self, filter: PackageFilter) -> Outcome {
        let mut after = None;
        loop {
            let mut turn = self.turn().await?;
            let page = self.services.views.look(|model| model.faults(&filter, after)).await;
            turn.made();
            let FaultPage { rows, next } = match page {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    return self.refuse(RefusalCode::Invalid, &error.to_string()).await;
                }
                Err(gone) => return self.refuse(RefusalCode::Internal, &gone.to_string()).await,
            };
            self.rows(rows.into_iter().map(Response::Trouble).collect()).await?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Rows of the queue, page by page; `limit`: `None` for all.
    pub(super) async fn queue(&mut self, planned: bool, limit: Option<u32>) -> Outcome {
        let (mut left, mut after) = (limit.map_or(usize::MAX, |limit| limit as usize), None);
        loop {
            let mut turn = self.turn().await?;
            let limit = left.min(PAGE);
            let now = self.services.clock.utc();
            let page = |model: &mut ReadModel| model.queue(now, planned, after, limit);
            let page = self.services.views.look_at(page).await;
            turn.made();
            let page = match page {
                Ok(page) => page,
                Err(gone) => return self.refuse(RefusalCode::Internal, &gone.to_string()).await,
            };
            left -= limit;
            self.rows(page.rows.into_iter().map(Response::Queued).collect()).await?;
            after = page.next;
            if after.is_none() || left == 0 {
                return Ok(());
            }
        }
    }

    pub(super) async fn order(&mut self, order: Order) -> Outcome {
        let rows =
            self.services.ask(&self.services.queue, |r| queue::Message::Order(order, r)).await;
        match rows {
            Ok(rows) => self.rows(rows).await,
            Err(gone) => self.refuse(RefusalCode::Internal, &gone.to_string()).await,
        }
    }

    /// Queues the jobs again that any of the filters matches.
    pub(super) async fn push(&mut self, filters: Vec<PackageFilter>, priority: i32) -> Outcome {
        let Some(jobs) = self.jobs(filters).await? else { return Ok(()) };
        self.order(Order::PushJobs { jobs, priority }).await
    }

    /// Takes the jobs out of the queue that any of the filters matches.
    pub(super) async fn drop(&mut self, filters: Vec<PackageFilter>) -> Outcome {
        let Some(jobs) = self.jobs(filters).await? else { return Ok(()) };
        self.order(Order::DropJobs { jobs }).await
    }

    /// The jobs that any of the filters matches. Where that fails the answer is sent and `None` is
    /// returned: nothing is done to a part of them.
    async fn jobs(&mut self, filters: Vec<PackageFilter>) -> Result<Option<Vec<InputId>>, Left> {
        let (mut jobs, mut after) = (Vec::new(), None);
        loop {
            let mut turn = self.turn().await?;
            let page = self.services.views.look(|model| model.matching_jobs(&filters, after)).await;
            turn.made();
            let page = match page {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    self.refuse(RefusalCode::Invalid, &error.to_string()).await?;
                    return Ok(None);
                }
                Err(gone) => {
                    self.refuse(RefusalCode::Internal, &gone.to_string()).await?;
                    return Ok(None);
                }
            };
            jobs.extend(page.jobs);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Some(jobs)),
            }
        }
    }

    pub(super) async fn packages(&mut self, filters: Vec<PackageFilter>) -> Outcome {
        let mut after = None;
        loop {
            let mut turn = self.turn().await?;
            let page = self.page(&filters, after).await;
            turn.made();
            let PackagePage { rows, next } = match page {
                Ok(page) => page,
                Err((code, text)) => return self.refuse(code, &text).await,
            };
            self.rows(rows.into_iter().map(Response::Package).collect()).await?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn page(
        &mut self,
        filters: &[PackageFilter],
        after: Option<InputId>,
    ) -> Result<PackagePage, (RefusalCode, String)> {
        let page = self.services.views.look(|model| model.packages(filters, after, PAGE)).await;
        page.map_err(|gone| (RefusalCode::Internal, gone.to_string()))?
            .map_err(|error| (RefusalCode::Invalid, error.to_string()))
    }

    /// The one artifact, or the artifacts of the one job, that a filter names. Otherwise the answer
    /// is sent and `None` is returned.
    pub(super) async fn one(
        &mut self,
        filter: PackageFilter,
        of_job: bool,
    ) -> Result<Option<Package>, Left> {
        let mut matches = Matches::new(&filter, of_job);
        let filters = [filter.clone()];
        let mut after = None;
        loop {
            let turn = self.turn().await?;
            let page = self.page(&filters, after).await;
            drop(turn);
            let page = match page {
                Ok(page) => page,
                Err((code, text)) => {
                    self.refuse(code, &text).await?;
                    return Ok(None);
                }
            };
            matches.take(page.rows);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let Found { mut rows, count } = matches.found();
        match count {
            0 => self.refuse(RefusalCode::NotFound, "no package matches").await?,
            1 => return Ok(rows.pop()),
            matches => {
                self.row(Response::Ambiguous { matches }).await?;
                self.rows(rows.into_iter().map(Response::Package).collect()).await?;
            }
        }
        Ok(None)
    }

    pub(super) async fn difference(&mut self, filter: PackageFilter) -> Outcome {
        let Some(package) = self.one(filter, false).await? else { return Ok(()) };
        let turn = self.turn().await?;
        let record = match package.build {
            Some(build) => {
                let kept = |model: &ReadModel| model.difference(build, &package.file).cloned();
                self.services.views.look(kept).await.ok().flatten()
            }
            None => None,
        };
        drop(turn);
        let Some(record) = record else {
            let text = format!("no difference is kept for {} {}", package.name, package.version);
            return self.refuse(RefusalCode::NotFound, &text).await;
        };
        self.whole(record.sha256, record.size, 0, "difference").await
    }

    pub(super) async fn attestation(&mut self, filter: PackageFilter) -> Outcome {
        let Some(package) = self.one(filter, false).await? else { return Ok(()) };
        let mut turn = self.turn().await?;
        let signed = self.signed(&package).await;
        turn.made();
        match signed {
            Ok(Some(signed)) => {
                // A link is about bytes: another published file of this name has no share in it.
                let is_reproduced = package.verdict == Some(Verdict::Reproduced);
                let is_its = |link: &&SignedLink| is_reproduced && *link.file == *package.file;
                for link in signed.links.iter().filter(is_its) {
                    let signer = self.services.signer.as_ref();
                    let link = match report::countersign_link(&link.metablock, signer) {
                        Ok(link) => link,
                        Err(error) => {
                            return self.refuse(RefusalCode::Internal, &error.to_string()).await;
                        }
                    };
                    self.row(Response::Chunk(link)).await?;
                    self.row(Response::Chunk(bytes::Bytes::from_static(b"\n"))).await?;
                }
                self.row(Response::Chunk(signed.statement)).await?;
                self.row(Response::Chunk(bytes::Bytes::from_static(b"\n"))).await
            }
            Ok(None) => {
                let text = format!("{} {} has not been built yet", package.name, package.version);
                self.refuse(RefusalCode::NotFound, &text).await
            }
            Err(text) => self.refuse(RefusalCode::Internal, &text).await,
        }
    }

    async fn signed(&mut self, package: &Package) -> Result<Option<SignedReport>, String> {
        let gone = |gone: Gone| gone.to_string();
        let services = &self.services;
        let shown = services.views.look(|model| model.shown_report(package.job)).await;
        let shown = shown.map_err(gone)?;
        let Some(sequence) = shown else { return Ok(None) };
        let value = services
            .read(move |store| store.get(&SignedReport::key(sequence)))
            .await
            .map_err(gone)?
            .map_err(|error| error.to_string())?;
        let report = value.map(|value| stored::read(&value)).transpose();
        report.map_err(|error| format!("report {sequence} cannot be read: {error}"))
    }

    /// Sends a blob that a report names, of `size` bytes, from `offset` on. One that is absent, or
    /// ends early, is an error: an accepted report is never without its log.
    pub(super) async fn whole(
        &mut self,
        name: Sha256,
        size: u64,
        offset: u64,
        what: &str,
    ) -> Outcome {
        let end = self.blob(Blob::Kept(name), offset).await?;
        if end >= size {
            return Ok(());
        }
        let missing = if end == offset { "is missing" } else { "ends early" };
        let text = format!(
            "the {what} {missing} in the coordinator's data directory ({end} of {size} bytes of \
             blob {name}): `rebuilder-node check` says what else is"
        );
        self.refuse(RefusalCode::Internal, &text).await
    }

    /// Sends a blob from `offset` on; the offset at its end.
    pub(super) async fn blob(&mut self, blob: Blob, mut offset: u64) -> Result<u64, Left> {
        loop {
            let mut turn = self.turn().await?;
            let read = self.services.read_blob(blob.clone(), offset, TURN).await;
            turn.made();
            match read {
                Ok(Ok(Some(mut bytes))) if !bytes.is_empty() => {
                    offset += bytes.len() as u64;
                    while !bytes.is_empty() {
                        let chunk = bytes.split_to(bytes.len().min(CHUNK));
                        self.row(Response::Chunk(chunk)).await?;
                    }
                }
                Ok(Ok(_)) => return Ok(offset),
                Ok(Err(error)) => {
                    self.refuse(RefusalCode::Internal, &error.to_string()).await?;
                    return Err(Left);
                }
                Err(gone) => {
                    self.refuse(RefusalCode::Internal, &gone.to_string()).await?;
                    return Err(Left);
                }
            }
        }
    }
}
