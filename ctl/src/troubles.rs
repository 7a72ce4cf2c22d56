//! What is wrong with workers, profiles and jobs, beside the lists that show them.

use std::fmt::Write as _;

use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::wire::v1::ctl::{
    Profile, Queued, RefusalCode, Request, Response, Subject, Trouble, Worker,
};

use crate::failure::Failure;
use crate::human;
use crate::json::{self, TroubleRow};
use crate::list::Row;
use crate::session::{Session, misplaced};
use crate::text::printable;

/// Something that troubles can be about.
pub trait Troubled: Row {
    /// True for a trouble of this row.
    fn is_about(&self, subject: &Subject) -> bool;
}

impl Troubled for Worker {
    fn is_about(&self, subject: &Subject) -> bool {
        matches!(subject, Subject::Worker(id) | Subject::Leftover(id) if *id == self.id)
    }
}

impl Troubled for Profile {
    fn is_about(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Profile(profile) | Subject::Release { profile, .. } => *profile == self.name,
            _ => false,
        }
    }
}

impl Troubled for Queued {
    fn is_about(&self, subject: &Subject) -> bool {
        *subject == Subject::Job(self.job)
    }
}

/// All that the coordinator answered.
#[derive(Clone, Debug, Default)]
pub struct Troubles(pub Vec<Trouble>);

impl Troubles {
    /// Asks for them. A coordinator of an earlier release does not know the question: it says
    /// nothing of troubles.
    ///
    /// # Errors
    /// As [`Answer::next`](crate::session::Answer::next).
    pub async fn ask(session: &Session, request: &Request) -> Result<Self, Failure> {
        let mut answer = session.ask(request).await?;
        let mut troubles = Vec::new();
        loop {
            match answer.next().await {
                Ok(Some(Response::Trouble(trouble))) => troubles.push(trouble),
                Ok(Some(other)) => return Err(misplaced(&other)),
                Ok(None) | Err(Failure::Refused { code: RefusalCode::Invalid, .. }) => {
                    return Ok(Self(troubles));
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Only those of which this holds.
    #[must_use]
    pub fn only(mut self, holds: impl Fn(&Subject) -> bool) -> Self {
        self.0.retain(|trouble| holds(&trouble.subject));
        self
    }

    /// A line for each, for people; empty when there is none.
    pub fn lines(&self, now: UtcMillis) -> String {
        let mut out = String::new();
        for trouble in &self.0 {
            writeln!(out, "{}", line(trouble, now)).expect("a String takes everything");
        }
        out
    }

    /// The row's JSON object with one more field.
    pub fn json<R: Troubled>(&self, row: &R) -> String {
        let own = self.0.iter().filter(|trouble| row.is_about(&trouble.subject));
        let rows: Vec<TroubleRow<'_>> = own.map(TroubleRow::from).collect();
        json::with_field(&row.json(), "troubles", &rows)
    }
}

fn line(trouble: &Trouble, now: UtcMillis) -> String {
    let subject = match &trouble.subject {
        Subject::Worker(id) | Subject::Leftover(id) => format!("worker {id}"),
        Subject::Profile(name) => format!("profile {name}"),
        Subject::Release { profile, release } => format!("profile {profile}, release {release}"),
        Subject::Job(id) => format!("job {id}"),
    };
    let times = match trouble.times {
        0 | 1 => String::new(),
        times => format!("; {times} times in a row"),
    };
    let next = match trouble.next {
        Some(next) if next > now => format!("; next try {}", human::time(next)),
        Some(_) => "; next try now".to_owned(),
        None => String::new(),
    };
    printable(&format!("{subject}: {}{times}{next}", trouble.text))
}

#[cfg(test)]
mod tests {
    use rebuilder_actors::protocol::{InputId, WorkerId};

    use super::*;

    fn trouble(subject: Subject, times: u32, next: Option<i64>) -> Trouble {
        Trouble { subject, text: "no\u{1b}[2J".into(), times, next: next.map(UtcMillis) }
    }

    #[test]
    fn each_says_what_it_is_about_how_often_and_the_next_try() {
        let release = Subject::Release { profile: "p".into(), release: "sid".into() };
        let troubles = Troubles(vec![
            trouble(Subject::Worker(WorkerId(3)), 1, None),
            trouble(Subject::Leftover(WorkerId(3)), 1, None),
            trouble(Subject::Profile("p".into()), 1, None),
            trouble(release, 2, Some(1)),
            trouble(Subject::Job(InputId(7)), 4, Some(60_000)),
        ]);
        let lines = troubles.lines(UtcMillis(1));
        let expected = "worker 3: no?[2J\nworker 3: no?[2J\nprofile p: no?[2J\n\
                        profile p, release sid: no?[2J; 2 times in a row; next try now\n\
                        job 7: no?[2J; 4 times in a row; next try 1970-01-01 00:01:00\n";
        assert_eq!(lines, expected);
        assert_eq!(Troubles::default().lines(UtcMillis(0)), "");
        let only = troubles.only(|subject| matches!(subject, Subject::Job(_)));
        assert_eq!(only.0.len(), 1);
    }
}
