use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rebuilder_actors::actor::TreeEnd;
use rebuilder_actors::actor::coordinator::Message;
use rebuilder_actors::actor::coordinator::queue::{Decide, Wrap};
use rebuilder_actors::domain::queue::{Effects, Event, Fact, Now, Queue};

use crate::harness::{Harness, HarnessSettings, names};
use crate::inside::coordinator;
use crate::tools::until_true;

/// A report that makes the queue panic is tried twice and then set aside: its worker is told, and
/// the house goes on with everything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_makes_the_queue_panic_is_set_aside() {
    let harness =
        Harness::new(HarnessSettings { packages: names(4), ..HarnessSettings::default() });
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = panics.clone();
    let wrap: Wrap = Arc::new(move |queue| Box::new(Weak { queue, panics: counted.clone() }));
    let (tree, mut ended) = coordinator(&harness, wrap).await;
    let ctl = harness.ctl();
    let worker = harness.joined_worker("w1");
    harness.go("all");
    worker.until_said(30, 1, "refused: quarantined: it made the coordinator panic twice");
    until_true(30, "the other packages are reproduced", || ctl.verdicts().len() == 3);
    assert!(ctl.verdicts().iter().all(|v| v.name != POISON && v.status == "reproduced"));

    let rows = ctl.rows(&["quarantine", "ls"]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["actor"], "queue");
    let text = rows[0]["text"].as_str().unwrap();
    assert!(text.contains("it made the coordinator panic twice"), "{text}");
    let status = ctl.ask(&["status"]);
    assert_eq!(status["quarantined"], 1, "{status}");
    // Another attempt would do the same: the job waits until somebody looked.
    assert_eq!((&status["jobs"]["parked"], &status["jobs"]["decided"]), (&1.into(), &3.into()));
    assert_eq!(harness.begun(POISON).len(), 1);
    assert_eq!(panics.load(Ordering::SeqCst), 2, "never a third time");
    assert!(ended.try_recv().is_err(), "the coordinator is up");
    harness.until_spools_empty(&["w1"]);
    drop(worker);
    tree.cast(Message::Stop).unwrap();
    assert_eq!(ended.await, Ok(TreeEnd::Stopped));
}

const POISON: &str = "p01";

/// The real queue, but for one weakness.
struct Weak {
    queue: Queue,
    panics: Arc<AtomicUsize>,
}

impl Decide for Weak {
    fn handle(&mut self, now: Now, event: Event) -> Effects {
        if let Event::Reported { report, .. } = &event
            && &*report.report().key.source == POISON
        {
            self.panics.fetch_add(1, Ordering::SeqCst);
            panic!("a report of {POISON}: the test's own weakness");
        }
        self.queue.handle(now, event)
    }

    fn next_deadline(&self, now: Now) -> Option<Duration> {
        self.queue.next_deadline(now)
    }

    fn snapshot(&self) -> Vec<Fact> {
        self.queue.snapshot()
    }
}
