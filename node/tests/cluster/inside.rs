//! A coordinator in the test's own process, whose parts can be looked into.

use std::sync::Arc;

use ractor::{Actor as _, ActorRef};
use rebuilder_actors::actor::TreeEnd;
use rebuilder_actors::actor::coordinator::queue::Wrap;
use rebuilder_actors::actor::coordinator::syncs::Profile;
use rebuilder_actors::actor::coordinator::{Coordinator, Message, Parts};
use rebuilder_actors::port::{Blocking, Entropy};
use rebuilder_actors::protocol::wire::BootId;
use rebuilder_node::blobs;
use rebuilder_node::clock::SystemClock;
use rebuilder_node::config::{Config, Role};
use rebuilder_node::data_dir::DataDir;
use rebuilder_node::distribution::ReaderParts;
use rebuilder_node::fetch::{FetchLimits, Fetcher};
use rebuilder_node::store::{SledStore, StoreOptions};
use rebuilder_transport::key_file::{self, Access};
use rebuilder_transport::{Limits, system};
use tokio::sync::oneshot;

use crate::harness::Harness;
use crate::tools::until_true;

/// The coordinator as the node makes it, in this process, with `wrap` around its queue.
pub async fn coordinator(
    harness: &Harness,
    wrap: Wrap,
) -> (ActorRef<Message>, oneshot::Receiver<TreeEnd>) {
    let config = Config::load(Some(&harness.join("c.toml")), Role::Coordinator).unwrap();
    let config = config.coordinator.unwrap();
    let own = harness.coordinator_key();
    let admin = key_file::load_or_create(&harness.join("c/ctl.key"), Access::Group).unwrap();
    let dir = DataDir::open(&config.data_dir).unwrap();
    let cache = config.index_cache_dir();
    std::fs::create_dir_all(&cache).unwrap();
    let fetcher = Fetcher::new(FetchLimits::default()).unwrap();
    let profiles = config.profiles.iter().map(|profile| Profile {
        name: profile.name.as_str().into(),
        distribution: profile.distribution.clone(),
        reader: profile.index.reader(profile, &ReaderParts { fetcher: &fetcher, cache: &cache }),
        interval: profile.interval,
    });
    let (store_dir, blobs_dir) = (dir.clone(), dir);
    let parts = Parts {
        store: Arc::new(move || {
            Ok(Box::new(SledStore::open(&store_dir, StoreOptions::default())?))
        }),
        blobs: Arc::new(move || Ok(Box::new(blobs::open(&blobs_dir)?))),
        blocking: Arc::new(Threads),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
        network: Arc::new(system::server(config.listen, own.clone(), Limits::default()).unwrap()),
        settings: config.queue_settings(own.public_key()),
        signer: Arc::new(own),
        admins: [admin.public_key()].into(),
        places: rebuilder_actors::domain::places::PlaceLimits::default(),
        public_address: harness.address.clone(),
        profiles: profiles.collect(),
        difference_bytes_max: 1 << 20,
        verifying_max: 1,
        wrap,
        boot: BootId([5; 16]),
    };
    let (end, ended) = oneshot::channel();
    let (tree, _) = Coordinator::spawn(None, Coordinator, (parts, end)).await.unwrap();
    let ctl = harness.ctl();
    let wanted = harness.packages();
    until_true(20, "the index is read", || ctl.rows(&["pkgs", "ls"]).len() == wanted);
    (tree, ended)
}

struct Threads;

impl Blocking for Threads {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(work);
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        use ring::rand::SecureRandom as _;
        ring::rand::SystemRandom::new().fill(bytes).unwrap();
    }
}
