use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::stored::{Outcome, ReportRecord};
use rebuilder_actors::protocol::{
    AttemptId, Ending, InputId, PublicKey, Sha256, Verdict, WorkerId,
};

use super::Checker;
use crate::observation::Observation;

/// A file is reproduced exactly if its worker signed the digest that an index names, differs if it
/// signed another one, and is missing if it signed that there is none.
#[derive(Default)]
pub(super) struct ReproducedMeansEqualDigests {
    /// Digests that were ever published for a file of a job.
    published: BTreeMap<(InputId, Box<str>), BTreeSet<Sha256>>,
    keys: BTreeMap<PublicKey, usize>,
    ids: BTreeMap<WorkerId, usize>,
    signed: BTreeMap<(AttemptId, usize), Vec<Arc<Ending>>>,
}

impl Checker for ReproducedMeansEqualDigests {
    fn name(&self) -> &'static str {
        "reproduced_means_equal_digests"
    }

    fn observe(&mut self, _: u64, _: &Settings, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Wanted(job) => {
                for artifact in job.artifacts() {
                    let digests = self.published.entry((job.id, artifact.file)).or_default();
                    digests.extend(artifact.sha256);
                }
            }
            Observation::Admitted { worker, key, .. } => {
                self.keys.insert(*key, *worker);
            }
            Observation::Enrolled(key, id) => {
                self.ids.extend(self.keys.get(key).map(|worker| (*id, *worker)));
            }
            Observation::Signed { attempt, worker, ending, .. } => {
                self.signed.entry((*attempt, *worker)).or_default().push(ending.clone());
            }
            Observation::Accepted(record, _) => return self.accepted(record),
            _ => {}
        }
        Ok(())
    }
}

impl ReproducedMeansEqualDigests {
    fn accepted(&self, record: &ReportRecord) -> Result<(), String> {
        let attempt = record.attempt;
        let Outcome::Verdicts(rows) = &record.outcome else { return Ok(()) };
        let worker = self.ids.get(&record.worker).ok_or("a worker that was never let in")?;
        let none = Vec::new();
        let endings = self.signed.get(&(attempt, *worker)).unwrap_or(&none);
        let is_told = |file: &str, digest: &Option<Sha256>| {
            endings.iter().any(|ending| match &**ending {
                Ending::Built(files) => {
                    let mut named = files.iter().filter(|rebuilt| *rebuilt.file == *file);
                    named.any(|rebuilt| rebuilt.output.map(|output| output.sha256) == *digest)
                }
                Ending::BuildFailed { .. } | Ending::Fault(_) => false,
            })
        };
        for (file, verdict, digest) in rows {
            if !is_told(file, digest) {
                return Err(format!("attempt {attempt}: worker-{worker} did not sign {file} so"));
            }
            let published = self.published.get(&(attempt.job, file.clone()));
            let published = published.ok_or_else(|| format!("{file} was never published"))?;
            let equal = digest.is_some_and(|digest| published.contains(&digest));
            // A file whose content was replaced may differ from one of its versions only.
            let holds = match verdict {
                Verdict::Reproduced => equal,
                Verdict::Differs => digest.is_some() && (!equal || published.len() > 1),
                Verdict::Missing => digest.is_none(),
            };
            if !holds {
                return Err(format!("attempt {attempt}: {file} is {verdict}, and is not"));
            }
        }
        Ok(())
    }
}
