//! Answers to ctl that take more than one frame.

use core::future::{Future as _, poll_fn};
use core::pin::pin;
use core::task::Poll;

use super::matches::{Found, Matches};
use super::queue;
use super::services::{Blob, Gone, Services};
use super::turn::{Reader, Turn};
use super::views::AskError;
use crate::domain::queue::Order;
use crate::domain::report;
use crate::domain::results::{Jobs, Packages, Page, Query, ReadModel};
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
        let status = self.services.status().await;
        turn.made();
        match status {
            Ok(status) => self.row(Response::Status(status)).await,
            Err(gone) => self.refuse(RefusalCode::Internal, &gone.to_string()).await,
        }
    }

    /// Everything that is asked, page by page; `limit`: `None` for all.
    pub(super) async fn list<Q>(
        &mut self,
        query: Q,
        limit: Option<u32>,
        row: impl Fn(Q::Row) -> Response,
    ) -> Outcome
    where
        Q: Query<Cursor: Clone>,
    {
        let (mut left, mut after) = (limit.map_or(usize::MAX, |limit| limit as usize), None);
        while left > 0 {
            let made = self.page(&query, after, left.min(PAGE)).await?;
            let Some((page, _turn)) = made else { return Ok(()) };
            let rows = page.rows.into_iter().take(left);
            left -= rows.len();
            self.rows(rows.map(&row).collect()).await?;
            if page.next.is_none() {
                break;
            }
            after = page.next;
        }
        Ok(())
    }

    /// A page and the turn in which it was made, to be held until it is sent. Where there is none
    /// the answer is sent and `None` is returned.
    async fn page<Q: Query>(
        &mut self,
        query: &Q,
        after: Option<Q::Cursor>,
        limit: usize,
    ) -> Result<Option<(Page<Q::Row, Q::Cursor>, Turn)>, Left> {
        let mut turn = self.turn().await?;
        let page = self.services.views.page(query, after, limit).await;
        turn.made();
        match page {
            Ok(page) => return Ok(Some((page, turn))),
            Err(AskError::Filter(error)) => {
                self.refuse(RefusalCode::Invalid, &error.to_string()).await?;
            }
            Err(AskError::Gone(gone)) => {
                self.refuse(RefusalCode::Internal, &gone.to_string()).await?;
            }
        }
        Ok(None)
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
        let (query, mut jobs, mut after) = (Jobs(filters), Vec::new(), None);
        loop {
            let Some((page, _)) = self.page(&query, after, PAGE).await? else { return Ok(None) };
            jobs.extend(page.rows);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Some(jobs)),
            }
        }
    }

    /// The one artifact, or the artifacts of the one job, that a filter names. Otherwise the answer
    /// is sent and `None` is returned.
    pub(super) async fn one(
        &mut self,
        filter: PackageFilter,
        of_job: bool,
    ) -> Result<Option<Package>, Left> {
        let mut matches = Matches::new(&filter, of_job);
        let (query, mut after) = (Packages(vec![filter]), None);
        loop {
            let Some((page, _)) = self.page(&query, after, PAGE).await? else { return Ok(None) };
            matches.take(page.rows.into_iter().map(|row| row.package));
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
