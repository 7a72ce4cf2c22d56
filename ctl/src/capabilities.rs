//! What the machines of workers give to builds, beside the list of workers.

use std::collections::BTreeMap;

use rebuilder_actors::protocol::WorkerId;
use rebuilder_actors::protocol::wire::v1::ctl::{
    RefusalCode, Request, Response, WorkerCapabilities,
};

use crate::failure::Failure;
use crate::json;
use crate::session::{Session, misplaced};

/// All that the coordinator answered.
#[derive(Clone, Debug, Default)]
pub struct Capabilities(BTreeMap<WorkerId, Vec<String>>);

impl Capabilities {
    /// Asks for them. A coordinator of an earlier release does not know the question: nothing is
    /// known of any worker then.
    ///
    /// # Errors
    /// The coordinator is gone, or answers something else.
    pub async fn ask(session: &Session) -> Result<Self, Failure> {
        let mut answer = session.ask(&Request::Capabilities).await?;
        let mut rows = BTreeMap::new();
        loop {
            match answer.next().await {
                Ok(Some(Response::Capabilities(WorkerCapabilities { worker, words }))) => {
                    rows.insert(worker, words);
                }
                Ok(Some(other)) => return Err(misplaced(&other)),
                Ok(None) | Err(Failure::Refused { code: RefusalCode::Invalid, .. }) => {
                    return Ok(Self(rows));
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// A worker's JSON object with one more field: `null` where nothing is known.
    pub fn json(&self, worker: WorkerId, object: &str) -> String {
        json::with_field(object, "capabilities", &self.0.get(&worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_its_own_words_or_null() {
        let words = ["seccomp", "landlock-7"].map(str::to_owned).to_vec();
        let known = Capabilities(BTreeMap::from([(WorkerId(2), words)]));
        assert_eq!(
            known.json(WorkerId(2), r#"{"id":2}"#),
            r#"{"id":2,"capabilities":["seccomp","landlock-7"]}"#
        );
        assert_eq!(known.json(WorkerId(1), r#"{"id":1}"#), r#"{"id":1,"capabilities":null}"#);
        let odd = Capabilities(BTreeMap::from([(WorkerId(3), vec!["a\"b".to_owned()])]));
        assert_eq!(odd.json(WorkerId(3), r#"{"id":3}"#), r#"{"id":3,"capabilities":["a\"b"]}"#);
    }
}
