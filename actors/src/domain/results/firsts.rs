use crate::protocol::stored::{Outcome, ReportRecord};
use crate::protocol::wire::v1::ctl::Package;
use crate::protocol::wire::v1::history::FirstTimes;
use crate::protocol::{UtcMillis, Verdict};

/// What was first among the builds of a job: folded from all accepted reports, none of which is
/// ever removed, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Firsts {
    /// `None`: none yet.
    built: Option<UtcMillis>,
    /// By file; few artifacts ever differ.
    differed: Vec<(Box<str>, UtcMillis)>,
}

/// Of a job that was never built.
pub(super) static NONE: Firsts = Firsts { built: None, differed: Vec::new() };

impl Firsts {
    /// Takes a report in; the same again changes nothing, and neither does a fault.
    pub(super) fn take(&mut self, record: &ReportRecord) {
        let at = record.accepted_at;
        if matches!(record.outcome, Outcome::Fault(_)) {
            return;
        }
        self.built = Some(self.built.map_or(at, |first| first.min(at)));
        let Outcome::Verdicts(rows) = &record.outcome else { return };
        for (file, _, _) in rows.iter().filter(|(_, verdict, _)| *verdict == Verdict::Differs) {
            match self.differed.iter_mut().find(|(name, _)| name == file) {
                Some((_, first)) => *first = at.min(*first),
                None => self.differed.push((file.clone(), at)),
            }
        }
    }

    /// Of one artifact of a job that was first seen then.
    pub(super) fn times(&self, seen: Option<UtcMillis>, package: &Package) -> FirstTimes {
        let differed = self.differed.iter().find(|(file, _)| **file == *package.file);
        FirstTimes { seen, built: self.built, differed: differed.map(|(_, at)| *at) }
    }
}
