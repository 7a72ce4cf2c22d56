use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor as _, ActorRef, SpawnErr};
use rebuilder_actors::actor::TreeEnd;
use rebuilder_actors::actor::coordinator::syncs::Profile;
use rebuilder_actors::actor::coordinator::{Coordinator, Message, Parts};
use rebuilder_actors::port::Network;
use rebuilder_actors::protocol::PublicKey;
use rebuilder_transport::{Limits, system};
use tokio::sync::oneshot;

use super::admin::Keys;
use super::error::RoleError;
use super::host::Host;
use crate::blobs;
use crate::config::{CoordinatorConfig, HttpConfig, ProfileConfig};
use crate::data_dir::DataDir;
use crate::distribution::ReaderParts;
use crate::fetch::{FetchLimits, Fetcher};
use crate::gateway::{self, Bound, Cookie, Door, Gateway};
use crate::store::{self, RoomStore, StoreOptions};

/// Bytes of one difference that are taken from a worker: the peer's operators cap it at 40 MiB.
const DIFFERENCE_BYTES_MAX: u64 = 64 << 20;

/// Connections beside those that have places: handshakes under way, and those that were refused or
/// ended, which QUIC keeps for three timeouts (RFC 9000 §10.2).
const CLOSING_MAX: usize = 3_840;

/// Time for a tree to stop in order; what is durable does not need it.
pub(super) const STOP: Duration = Duration::from_secs(20);

/// A coordinator that runs.
pub(crate) struct Running {
    pub(crate) tree: ActorRef<Message>,
    pub(super) ended: oneshot::Receiver<TreeEnd>,
    pub(crate) address: SocketAddr,
    pub(super) key: PublicKey,
    network: Arc<dyn Network>,
    /// `None`: nothing is asked over HTTP.
    gateway: Option<Gateway>,
    /// Its lock is held as long as the coordinator runs.
    _data_dir: DataDir,
}

/// Starts a coordinator in this process, alone.
pub(crate) async fn start(config: &CoordinatorConfig) -> Result<Running, RoleError> {
    Running::start(config, &Host::new(), None).await
}

impl Running {
    /// Opens everything and starts the tree. `also` may work without being listed.
    pub(super) async fn start(
        config: &CoordinatorConfig,
        host: &Host,
        also: Option<PublicKey>,
    ) -> Result<Self, RoleError> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let engine = config.store;
        // Before anything else is made; the tree would try to open it several times.
        store::expect_no_other(&data_dir, engine)?;
        let keys = Keys::load_or_create(&config.data_dir)?;
        let key = keys.own.public_key();
        let mut settings = config.queue_settings(key);
        settings.enrolment.authorized.extend(also);
        // Before anything works: an address that is taken stops no tree.
        let http = match config.http.bind_addr {
            Some(address) => {
                let door = door(&config.http, &config.data_dir, host)?;
                Some((Bound::new(address).await?, door))
            }
            None => None,
        };
        let places = config.place_limits();
        let limits = Limits {
            connections_max: places.places + places.admins + CLOSING_MAX,
            ..Limits::default()
        };
        let quic = system::server(config.listen, keys.own.clone(), limits)?;
        let network: Arc<dyn Network> = Arc::new(quic);
        let address = network.local_address().unwrap_or(config.listen);
        let (store_dir, blobs_dir) = (data_dir.clone(), data_dir.clone());
        let store_options = StoreOptions {
            assume_synchronous: config.synchronous_file_system,
            ..StoreOptions::default()
        };
        let mut admins = config.admins.clone();
        admins.insert(keys.admin);
        let parts = Parts {
            store: Arc::new(move || {
                let store = store::open(engine, &store_dir, store_options)?;
                Ok(Box::new(RoomStore::new(store, store_dir.path().to_owned())))
            }),
            blobs: Arc::new(move || Ok(Box::new(blobs::open(&blobs_dir)?))),
            blocking: host.blocking.clone(),
            clock: host.clock.clone(),
            signer: Arc::new(keys.own),
            entropy: host.entropy.clone(),
            network: network.clone(),
            settings,
            admins,
            places,
            public_address: config.public_address.clone().unwrap_or_else(|| address.to_string()),
            profiles: profiles(config)?,
            difference_bytes_max: DIFFERENCE_BYTES_MAX,
            verifying_max: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            wrap: Arc::new(|queue| Box::new(queue)),
            boot: host.boot,
        };
        let (end, ended) = oneshot::channel();
        let (tree, _) = Coordinator::spawn(None, Coordinator, (parts, end)).await.map_err(
            |error| match &error {
                SpawnErr::StartupFailed(cause) => match TreeEnd::of(cause) {
                    Some(TreeEnd::Damaged { reason }) => RoleError::Damaged(reason),
                    Some(TreeEnd::TakenOver { reason }) => RoleError::TakenOver(reason),
                    _ => RoleError::Start(error.to_string()),
                },
                _ => RoleError::Start(error.to_string()),
            },
        )?;
        tracing::info!(target: "rebuilder", "coordinator {key} listens on {address} (UDP)");
        let gateway = http.map(|(bound, door)| {
            let gateway = bound.serve(gateway::routes(tree.clone()), door);
            tracing::info!(target: "rebuilder", "HTTP at http://{}/", gateway.address());
            gateway
        });
        Ok(Self { tree, ended, address, key, network, gateway, _data_dir: data_dir })
    }

    /// Stops in reverse order and tells the peers.
    pub(crate) async fn stop(self) {
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        if self.tree.cast(Message::Stop).is_ok() {
            let _ = self.tree.wait(Some(STOP)).await;
        }
        let text = "the coordinator stops".to_owned();
        self.network.close(rebuilder_actors::port::CloseReason { code: 0, text }).await;
    }
}

/// The cookie is read, or made, only where somebody can send it.
fn door(config: &HttpConfig, data_dir: &Path, host: &Host) -> Result<Door, RoleError> {
    let cookie = match &config.cookie {
        Some(cookie) => cookie.clone(),
        None => Cookie::load_or_create(data_dir)?,
    };
    Ok(Door::new(cookie, config.door.clone(), host.clock.clone()))
}

fn profiles(config: &CoordinatorConfig) -> Result<Vec<Profile>, RoleError> {
    let proxies = config.proxies.clone().or_of_environment();
    let fetcher = Fetcher::through(&proxies, FetchLimits::default())?;
    let cache = config.index_cache_dir();
    std::fs::create_dir_all(&cache).map_err(RoleError::io("create", &cache))?;
    let parts = ReaderParts { fetcher: &fetcher, cache: &cache };
    let profile = |profile: &ProfileConfig| Profile {
        name: profile.name.as_str().into(),
        distribution: profile.distribution.clone(),
        reader: profile.index.reader(profile, &parts),
        interval: profile.interval,
    };
    Ok(config.profiles.iter().map(profile).collect())
}
