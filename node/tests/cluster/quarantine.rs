use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ractor::{Actor as _, ActorRef};
use rebuilder_actors::actor::TreeEnd;
use rebuilder_actors::actor::coordinator::queue::Decide;
use rebuilder_actors::actor::coordinator::syncs::Profile;
use rebuilder_actors::actor::coordinator::{Coordinator, Message, Parts};
use rebuilder_actors::domain::queue::{Effects, Event, Fact, Moment, Now, Queue};
use rebuilder_actors::port::{Blocking, Entropy};
use rebuilder_actors::protocol::wire::BootId;
use rebuilder_node::blobs::FileBlobs;
use rebuilder_node::clock::SystemClock;
use rebuilder_node::config::{Config, Role};
use rebuilder_node::data_dir::DataDir;
use rebuilder_node::fetch::{FetchLimits, Fetcher};
use rebuilder_node::index::debian::{AptPaths, DebianReader};
use rebuilder_node::store::{SledStore, StoreOptions};
use rebuilder_transport::key_file::{self, Access};
use rebuilder_transport::{Limits, system};
use tokio::sync::oneshot;

use crate::tools::until_true;
use crate::world::{Wishes, World, names};

/// A report that makes the queue panic is tried twice and then set aside: its worker is told, and
/// the house goes on with everything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_makes_the_queue_panic_is_set_aside() {
    let world = World::new(Wishes { packages: names(4), ..Wishes::default() });
    let panics = Arc::new(AtomicUsize::new(0));
    let (tree, mut ended) = coordinator(&world, panics.clone()).await;
    let ctl = world.ctl();
    let worker = world.joined_worker("w1");
    world.go("all");
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
    assert_eq!(world.begun(POISON).len(), 1);
    assert_eq!(panics.load(Ordering::SeqCst), 2, "never a third time");
    assert!(ended.try_recv().is_err(), "the coordinator is up");
    world.until_spools_empty(&["w1"]);
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

    fn moment(&self, now: Now) -> Moment {
        self.queue.moment(now)
    }
}

/// The coordinator as the node makes it, with the weak queue.
async fn coordinator(
    world: &World,
    panics: Arc<AtomicUsize>,
) -> (ActorRef<Message>, oneshot::Receiver<TreeEnd>) {
    let config = Config::load(Some(&world.join("c.toml")), Role::Coordinator).unwrap();
    let config = config.coordinator.unwrap();
    let own = world.coordinator_key();
    let admin = key_file::load_or_create(&world.join("c/ctl.key"), Access::Group).unwrap();
    let dir = DataDir::open(&config.data_dir).unwrap();
    let cache = config.index_cache_dir();
    std::fs::create_dir_all(&cache).unwrap();
    let fetcher = Fetcher::new(FetchLimits::default()).unwrap();
    let profiles = config.profiles.iter().map(|profile| Profile {
        name: profile.name.as_str().into(),
        distribution: profile.distribution.clone(),
        reader: Arc::new(DebianReader::new(
            profile.debian_index_settings(),
            fetcher.clone(),
            &cache,
            AptPaths::default(),
        )),
        interval: profile.interval,
    });
    let (store_dir, blobs_dir) = (dir.clone(), dir);
    let parts = Parts {
        store: Arc::new(move || {
            Ok(Box::new(SledStore::open(&store_dir, StoreOptions::default())?))
        }),
        blobs: Arc::new(move || Ok(Box::new(FileBlobs::open(&blobs_dir)?))),
        blocking: Arc::new(Threads),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(Random),
        network: Arc::new(system::server(config.listen, own.clone(), Limits::default()).unwrap()),
        settings: config.queue_settings(own.public_key()),
        signer: Arc::new(own),
        admins: [admin.public_key()].into(),
        places: rebuilder_actors::domain::places::PlaceLimits::default(),
        public_address: world.address.clone(),
        profiles: profiles.collect(),
        difference_bytes_max: 1 << 20,
        verifying_max: 1,
        wrap: Arc::new(move |queue| Box::new(Weak { queue, panics: panics.clone() })),
        boot: BootId([5; 16]),
    };
    let (end, ended) = oneshot::channel();
    let (tree, _) = Coordinator::spawn(None, Coordinator, (parts, end)).await.unwrap();
    let ctl = world.ctl();
    until_true(20, "the index is read", || ctl.rows(&["pkgs", "ls"]).len() == 4);
    (tree, ended)
}

struct Threads;

impl Blocking for Threads {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(work);
    }
}

struct Random;

impl Entropy for Random {
    fn fill(&self, bytes: &mut [u8]) {
        use ring::rand::SecureRandom as _;
        ring::rand::SystemRandom::new().fill(bytes).unwrap();
    }
}
