use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rebuilder_actors::port::{BoxFuture, Progress};
use rebuilder_actors::protocol::{Assignment, Isolation};

use super::*;
use crate::backend::{BuildError, BuildFacts};

/// A backend that is ill while it is told to be.
#[derive(Default)]
struct Ill {
    ill: AtomicBool,
    looks: AtomicUsize,
}

impl Rebuild for Ill {
    fn isolation(&self) -> Isolation {
        Isolation::None
    }

    fn ailment(&self) -> BoxFuture<'_, Option<String>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let ill = self.ill.load(Ordering::SeqCst);
        Box::pin(async move { ill.then(|| "gpgv is missing: install gpgv".to_owned()) })
    }

    fn build<'a>(
        &'a self,
        _: &'a Assignment,
        _: &'a Path,
        _: &'a mut BuildFacts,
        _: &'a dyn Progress,
    ) -> BoxFuture<'a, Result<PathBuf, BuildError>> {
        unreachable!("nothing is built here")
    }
}

#[tokio::test]
async fn a_machine_is_looked_at_at_start_after_own_faults_and_while_it_is_ill() {
    let (one, two) = (Arc::new(Ill::default()), Arc::new(Ill::default()));
    let backends: BTreeMap<String, Arc<dyn Rebuild>> =
        [("one".into(), one.clone() as Arc<dyn Rebuild>), ("two".into(), two.clone() as _)].into();
    let health = Health::looking(backends, Vec::new(), Duration::from_millis(1)).await;
    assert_eq!(health.condition(), Condition::default());
    let watch = tokio::spawn(health.clone().watch());

    // Faults of packages and servers say nothing about the machine.
    one.ill.store(true, Ordering::SeqCst);
    for kind in [FaultKind::FetchFailed, FaultKind::InputsUnavailable, FaultKind::OutOfMemory] {
        health.met(kind).await;
    }
    assert_eq!(one.looks.load(Ordering::SeqCst), 1);
    health.met(FaultKind::BackendMissing).await;
    let reason = "gpgv is missing: install gpgv".to_owned();
    let ailment = Ailment { backend: "one".into(), reason };
    assert_eq!(health.condition().ailments, [ailment]);

    // It is mended, and nobody need start anything again.
    one.ill.store(false, Ordering::SeqCst);
    while health.condition() != Condition::default() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    watch.abort();
}

#[tokio::test]
async fn what_was_left_is_tried_again_and_named_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let attempts = folder.path().join("attempts");
    std::fs::create_dir_all(attempts.join("3-1/deep")).unwrap();
    std::fs::write(attempts.join("3-2"), "a file").unwrap();
    let health = Health::new(BTreeMap::new(), vec![attempts.clone(), "/nowhere".into()]).await;
    assert_eq!(health.condition(), Condition::default(), "it could be removed after all");
    assert_eq!(std::fs::read_dir(&attempts).unwrap().count(), 0);
    // What an attempt of this process makes is none.
    std::fs::create_dir(attempts.join("4-1")).unwrap();
    health.look().await;
    assert!(attempts.join("4-1").exists());
}
