//! `pkgs show`: the packages of one job, and the attempts at it.

use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, RefusalCode, Request, Response};
use rebuilder_actors::protocol::wire::v1::history::{
    DatedPackage, FirstTimes, PastAttempt, PastOutcome,
};
use rebuilder_actors::protocol::{BUILD_FAILED, UtcMillis, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::content::ambiguous;
use crate::failure::Failure;
use crate::list::{Row, Rows, Show};
use crate::session::{Session, misplaced};
use crate::table::{Column, Tone};
use crate::text::printable;
use crate::{human, json, words};

/// What is printed: two tables, or the attempts as one JSON array.
///
/// # Errors
/// Nothing or several jobs match, or the connection was lost.
pub async fn history(
    session: &Session,
    filter: &PackageFilter,
    show: Show,
) -> Result<String, Failure> {
    let mut answer = session.ask(&Request::History(filter.clone())).await?;
    let mut attempts = Vec::new();
    while let Some(response) = answer.next().await? {
        match response {
            Response::Attempt(attempt) => attempts.push(attempt),
            Response::Ambiguous { matches } => {
                return Err(ambiguous(&mut answer, matches, show).await);
            }
            other => return Err(misplaced(&other)),
        }
    }
    if show.json {
        let lines: Vec<String> = attempts.iter().map(Row::json).collect();
        let lines = lines.join(",\n");
        return Ok(if lines.is_empty() { "[]\n".to_owned() } else { format!("[\n{lines}\n]\n") });
    }
    let packages = packages(session, filter).await?;
    let second = if attempts.is_empty() {
        format!("{}\n", PastAttempt::NOTHING)
    } else {
        table(&attempts, show)
    };
    Ok(format!("{}{}\n{second}", table(&packages, show), firsts(&packages)))
}

async fn packages(session: &Session, filter: &PackageFilter) -> Result<Vec<DatedPackage>, Failure> {
    let of = |request| async move {
        let mut packages = Vec::new();
        let mut answer = session.ask(&request).await?;
        while let Some(response) = answer.next().await? {
            packages
                .push(DatedPackage::from_response(response).map_err(|other| misplaced(&other))?);
        }
        Ok(packages)
    };
    match of(Request::DatedPackages(vec![filter.clone()])).await {
        // A coordinator of an earlier release does not know the question.
        Err(Failure::Refused { code: RefusalCode::Invalid, .. }) => {
            of(Request::PackagesOfAny(vec![filter.clone()])).await
        }
        packages => packages,
    }
}

/// When the job was first seen and built, and each of its files that ever differed first did.
fn firsts(packages: &[DatedPackage]) -> String {
    let Some(FirstTimes { seen, built, .. }) = packages.first().map(|package| package.times) else {
        return String::new();
    };
    let times = [("seen", seen), ("built", built)].into_iter();
    let mut said: Vec<String> =
        times.filter_map(|(what, at)| Some(format!("{what} {}", human::time(at?)))).collect();
    let differed: BTreeMap<&str, UtcMillis> = packages
        .iter()
        .filter_map(|row| Some((row.package.file.as_str(), row.times.differed?)))
        .collect();
    said.extend(
        differed
            .iter()
            .map(|(file, at)| format!("{} differed {}", printable(file), human::time(*at))),
    );
    if said.is_empty() { String::new() } else { format!("first {}\n", said.join(", ")) }
}

fn table<R: Row>(list: &[R], show: Show) -> String {
    let mut rows = Rows::beside(R::COLUMNS, show);
    let mut text: String = list.iter().filter_map(|row| rows.push(row)).collect();
    text.push_str(&rows.finish().0);
    text
}

impl Row for PastAttempt {
    const COLUMNS: &'static [Column] = &[
        Column::always("ATTEMPT"),
        Column::always("ENDED"),
        Column::out("TOOK", 2),
        Column::out("WORKER", 3).cut(12),
        Column::always("OUTCOME").cut(16),
        Column::out("NOTE", 9).cut(16),
    ];
    const NOTHING: &'static str = "no attempt has been reported yet";

    fn from_response(response: Response) -> Result<Self, Box<Response>> {
        match response {
            Response::Attempt(row) => Ok(row),
            other => Err(Box::new(other)),
        }
    }

    fn cells(&self, _now: UtcMillis) -> Vec<String> {
        let worker = match self.worker_name.as_str() {
            "" => self.worker.to_string(),
            name => format!("{} ({name})", self.worker),
        };
        let (outcome, note) = match &self.outcome {
            PastOutcome::Verdicts { reproduced, differs, missing } => {
                let counts = [reproduced, differs, missing].map(|count| *count as usize);
                (Verdict::counted(counts), String::new())
            }
            PastOutcome::BuildFailed { reason } => (BUILD_FAILED.to_owned(), reason.clone()),
            PastOutcome::Fault(fault) => (words::whole_fault(fault.kind), fault.detail.clone()),
        };
        let (ended, took) = (human::time(self.accepted_at), human::duration(self.took_ms()));
        vec![self.attempt.to_string(), ended, took, worker, outcome, note]
    }

    fn tone(&self) -> Tone {
        Tone::Plain
    }

    fn json(&self) -> String {
        json::to_line(&AttemptRow::from(self))
    }
}

trait Took {
    /// Milliseconds of work; 0 where the worker's clock was set back meanwhile.
    fn took_ms(&self) -> u64;
}

impl Took for PastAttempt {
    fn took_ms(&self) -> u64 {
        self.finished_at.0.saturating_sub(self.started_at.0).max(0).unsigned_abs()
    }
}

/// Of an attempt.
#[derive(Debug, Serialize)]
struct AttemptRow<'a> {
    attempt: String,
    worker: i32,
    worker_name: &'a str,
    accepted_at: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    took_ms: u64,
    build: Option<i32>,
    /// The worst verdict, `build-failed`, or `fault`.
    outcome: &'static str,
    reproduced: u32,
    differs: u32,
    missing: u32,
    fault: Option<&'static str>,
    fault_stage: Option<&'static str>,
    reason: Option<&'a str>,
}

impl<'a> From<&'a PastAttempt> for AttemptRow<'a> {
    fn from(attempt: &'a PastAttempt) -> Self {
        let (mut counts, mut fault, mut reason) = ([0; 3], None, None);
        let outcome = match &attempt.outcome {
            PastOutcome::Verdicts { reproduced, differs, missing } => {
                counts = [*reproduced, *differs, *missing];
                match (missing, differs) {
                    (1.., _) => Verdict::Missing.word(),
                    (0, 1..) => Verdict::Differs.word(),
                    (0, 0) => Verdict::Reproduced.word(),
                }
            }
            PastOutcome::BuildFailed { reason: why } => {
                reason = Some(why.as_str());
                BUILD_FAILED
            }
            PastOutcome::Fault(ended) => {
                (fault, reason) = (Some(ended.kind), Some(ended.detail.as_str()));
                "fault"
            }
        };
        Self {
            attempt: attempt.attempt.to_string(),
            worker: attempt.worker.0,
            worker_name: &attempt.worker_name,
            accepted_at: human::rfc3339(attempt.accepted_at),
            started_at: human::rfc3339(attempt.started_at),
            finished_at: human::rfc3339(attempt.finished_at),
            took_ms: attempt.took_ms(),
            build: attempt.build.map(|build| build.0),
            outcome,
            reproduced: counts[0],
            differs: counts[1],
            missing: counts[2],
            fault: fault.map(words::fault),
            fault_stage: fault.and_then(words::fault_stage),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use rebuilder_actors::protocol::{
        AttemptId, BuildId, Epoch, Fault, FaultKind, InputId, Stage, WorkerId,
    };

    use rebuilder_actors::protocol::wire::v1::ctl::PackageStatus;

    use super::*;

    fn attempt(outcome: PastOutcome) -> PastAttempt {
        PastAttempt {
            attempt: AttemptId { job: InputId(3), epoch: Epoch(2) },
            worker: WorkerId(7),
            worker_name: "w".into(),
            accepted_at: UtcMillis(1_700_000_100_000),
            started_at: UtcMillis(1_700_000_000_000),
            finished_at: UtcMillis(1_700_000_065_000),
            build: Some(BuildId(9)),
            outcome,
        }
    }

    #[test]
    fn an_attempt_is_a_row_in_words_of_the_field() {
        let kind = FaultKind::TimedOut(Stage::Build);
        for (outcome, shown, word, note) in [
            (
                PastOutcome::Verdicts { reproduced: 2, differs: 1, missing: 0 },
                "2 reproduced, 1 differs",
                "differs",
                "",
            ),
            (
                PastOutcome::Verdicts { reproduced: 1, differs: 0, missing: 0 },
                "1 reproduced",
                "reproduced",
                "",
            ),
            (
                PastOutcome::BuildFailed { reason: "why".into() },
                "build-failed",
                "build-failed",
                "why",
            ),
            (
                PastOutcome::Fault(Fault { kind, detail: "60 s".into() }),
                "timed-out (build)",
                "fault",
                "60 s",
            ),
        ] {
            let row = attempt(outcome);
            let cells = row.cells(UtcMillis(0));
            assert_eq!(cells.len(), PastAttempt::COLUMNS.len());
            assert_eq!((cells[0].as_str(), cells[2].as_str()), ("3-2", "1m 5s"));
            assert_eq!((cells[3].as_str(), cells[4].as_str()), ("7 (w)", shown));
            assert_eq!(cells[5], note);
            let json: serde_json::Value = serde_json::from_str(&row.json()).unwrap();
            assert_eq!((&json["outcome"], &json["took_ms"]), (&word.into(), &65_000.into()));
            assert_eq!(json["reason"].as_str().unwrap_or_default(), note);
        }
    }
    fn package(file: &str, differed: Option<UtcMillis>) -> DatedPackage {
        let mut package = crate::rows_test::package("good", PackageStatus::Differs);
        package.file = file.into();
        let (seen, built) = (Some(UtcMillis(0)), Some(UtcMillis(60_000)));
        DatedPackage { package, times: FirstTimes { seen, built, differed } }
    }

    #[test]
    fn what_was_first_is_said_in_one_line() {
        let at = Some(UtcMillis(120_000));
        let several = [package("b.deb", at), package("a.deb", None), package("b.deb", at)];
        let line = "first seen 1970-01-01 00:00:00, built 1970-01-01 00:01:00, \
                    b.deb differed 1970-01-01 00:02:00\n";
        assert_eq!(firsts(&several), line);
        let hostile = package("\u{1b}[2J.deb", at);
        assert!(!firsts(&[hostile]).contains('\u{1b}'));
        let mut unknown = package("a.deb", None);
        unknown.times = FirstTimes::default();
        assert_eq!(firsts(&[unknown]), "");
        assert_eq!(firsts(&[]), "");
    }
}
