use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ractor::{Actor as _, ActorRef};
use rebuilder_actors::actor::TreeEnd;
use rebuilder_actors::actor::worker::{Credentials, Message, Parts, Secret, Worker};
use rebuilder_actors::port::{CloseReason, Network};
use rebuilder_actors::protocol::PublicKey;
use rebuilder_actors::protocol::text::counted;
use rebuilder_actors::protocol::wire::v1::worker::Capabilities;
use rebuilder_actors::protocol::wire::{EnrolmentKind, Offer};
use rebuilder_transport::key_file::Access;
use rebuilder_transport::{Identity, Limits, system};
use tokio::sync::oneshot;

use super::coordinator::STOP;
use super::error::RoleError;
use super::host::Host;
use super::own_key;
use super::secret::Invitation;
use crate::backend::{
    Backends, BackendsSetup, Diffoscope, Rebuild, ScriptBackend, disk_free, memory_available,
};
use crate::blobs::FileParts;
use crate::config::{WorkerConfig, WorkerEnrolment};
use crate::data_dir::DataDir;
use crate::distribution::WorkerParts;
use crate::fetch::{FetchLimits, Fetcher};
use crate::health::{Attentive, Health};
use crate::sandbox::{Sandbox, Settings};
use crate::spool::FileSpool;

/// The worker's private key, in its folder.
pub(crate) const KEY: &str = "worker.key";
/// The coordinator's public key, once it is proved.
pub(crate) const PINNED: &str = "coordinator.pub";
/// Bytes of log that a worker keeps at most, whatever the coordinator asks for.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// A coordinator that is known already: of the same process.
pub(super) struct Known {
    pub(super) address: String,
    pub(super) key: PublicKey,
}

/// A worker that runs.
pub(super) struct Running {
    pub(super) ended: oneshot::Receiver<TreeEnd>,
    tree: ActorRef<Message>,
    network: Arc<dyn Network>,
    /// Looks at the machine.
    watch: tokio::task::JoinHandle<()>,
    _data_dir: DataDir,
}

/// The worker's folder and key, opened before anything else.
pub(super) struct Opened {
    data_dir: DataDir,
    identity: Identity,
}

impl Opened {
    pub(super) fn open(config: &WorkerConfig) -> Result<Self, RoleError> {
        let data_dir = DataDir::open(&config.work_dir)?;
        let identity = own_key::load_or_create(&data_dir.join(KEY), Access::Owner)?;
        Ok(Self { data_dir, identity })
    }

    pub(super) fn key(&self) -> PublicKey {
        self.identity.public_key()
    }

    /// Starts the tree.
    pub(super) async fn start(
        self,
        config: &WorkerConfig,
        host: &Host,
        known: Option<Known>,
    ) -> Result<Running, RoleError> {
        let Self { data_dir, identity } = self;
        let credentials = credentials(config, host, &data_dir, &identity, known)?;
        let sandbox = sandbox(config).await?;
        let (backend, health) = backends(config, host, &sandbox).await?;
        let network: Arc<dyn Network> =
            Arc::new(system::client(identity.clone(), Limits::default())?);
        let (architectures, refusals) = sandbox.capabilities().supported(&config.architectures);
        for why in refusals {
            tracing::warn!(target: "rebuilder", "not offered: {why}");
        }
        let offer = Offer {
            name: config.name.clone(),
            backends: backend.names(),
            architectures,
            tags: config.tags.clone(),
            slots: config.slots,
        };
        let slots = counted(offer.slots, "slot");
        tracing::info!(
            target: "rebuilder",
            "worker {} ({}) with {slots}, backends {}",
            identity.public_key(), offer.name, offer.backends.join(", ")
        );
        tracing::info!(target: "rebuilder", "a build has at most {}", config.bounds);
        let (spool_dir, logs_dir) = (data_dir.clone(), data_dir.clone());
        let disk = config.work_dir.clone();
        let watch = tokio::spawn(health.clone().watch());
        let parts = Parts {
            spool: Arc::new(move || Ok(Box::new(FileSpool::open(&spool_dir)?))),
            logs: Arc::new(move || Ok(Box::new(FileParts::open(&logs_dir)?))),
            blocking: host.blocking.clone(),
            clock: host.clock.clone(),
            signer: Arc::new(identity),
            network: network.clone(),
            credentials,
            offer,
            backend: Arc::new(Attentive::new(backend, health.clone())),
            measure: Arc::new(move || {
                (memory_available().unwrap_or(0), disk_free(&disk).unwrap_or(0))
            }),
            condition: Arc::new(move || health.condition()),
            capabilities: Capabilities { words: sandbox.capabilities().words() },
            log_bytes_max: LOG_BYTES_MAX,
        };
        let (end, ended) = oneshot::channel();
        let (tree, _) = Worker::spawn(None, Worker, (parts, end))
            .await
            .map_err(|error| RoleError::Start(error.to_string()))?;
        Ok(Running { ended, tree, network, watch, _data_dir: data_dir })
    }
}

impl Running {
    /// Stops in reverse order and tells the coordinator.
    pub(super) async fn stop(self) {
        if self.tree.cast(Message::Stop).is_ok() {
            let _ = self.tree.wait(Some(STOP)).await;
        }
        self.watch.abort();
        let text = "the worker stops".to_owned();
        self.network.close(CloseReason { code: 0, text }).await;
    }
}

/// Whom to connect to, and how to prove oneself.
fn credentials(
    config: &WorkerConfig,
    host: &Host,
    data_dir: &DataDir,
    identity: &Identity,
    known: Option<Known>,
) -> Result<Credentials, RoleError> {
    let pinned = data_dir.join(PINNED);
    let remembered = read_pin(&pinned)?;
    let (address, pin, secret) = match (known, &config.enrolment) {
        (Some(known), _) => (Some(known.address), Some(known.key), None),
        (None, WorkerEnrolment::Invitation(token)) => {
            let invitation = Invitation::parse(token.reveal()).map_err(RoleError::Unknown)?;
            let address = config.coordinator.clone().unwrap_or(invitation.address);
            (Some(address), Some(invitation.coordinator), Some(invitation.secret))
        }
        (None, WorkerEnrolment::SignupSecret(secret)) => {
            let key = secret.reveal().as_bytes().to_vec();
            let secret = Secret { kind: EnrolmentKind::SignupSecret, key };
            (config.coordinator.clone(), config.coordinator_key.or(remembered), Some(secret))
        }
        (None, WorkerEnrolment::KeyOnly) => {
            (config.coordinator.clone(), config.coordinator_key.or(remembered), None)
        }
    };
    let Some(address) = address else {
        let text = "which coordinator? set `coordinator` in [worker], or give an `invitation`";
        return Err(RoleError::Unknown(text.into()));
    };
    if pin.is_none() && secret.is_none() {
        return Err(RoleError::Unknown(format!(
            "nothing proves that {address} is the right coordinator: set `coordinator_key` (the \
             content of its coordinator.pub), `signup_secret` or `invitation` in [worker]"
        )));
    }
    Ok(Credentials {
        address,
        pin: config.coordinator_key.or(pin),
        secret,
        own: identity.public_key(),
        boot: host.boot,
        remember: Arc::new(move |key| {
            if let Err(error) = std::fs::write(&pinned, format!("{key}\n")) {
                tracing::warn!(target: "rebuilder", "cannot write {}: {error}", pinned.display());
            }
        }),
    })
}

fn read_pin(path: &Path) -> Result<Option<PublicKey>, RoleError> {
    match std::fs::read_to_string(path) {
        Ok(text) => match text.trim().parse() {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(RoleError::Unknown(format!("{}: {error}", path.display()))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RoleError::io("read", path)(error)),
    }
}

/// What this machine gives to builds: asked once, and said where a limit or a verdict is weaker for
/// it. Scripts alone run outside of it.
async fn sandbox(config: &WorkerConfig) -> Result<Sandbox, RoleError> {
    // Programs are started to see whether they run.
    let detected = tokio::task::spawn_blocking(|| Sandbox::detect(Settings::default())).await;
    let sandbox = detected.map_err(|error| RoleError::Start(error.to_string()))?;
    if !config.built_in.is_empty() || config.diffoscope.enabled {
        for gap in sandbox.capabilities().gaps() {
            tracing::warn!("{gap}");
        }
        if !sandbox.capabilities().kernel.scopes() {
            tracing::info!(
                "this kernel's Landlock cannot bound sockets and signals (Linux 6.12 does): \
                 namespaces and the filter of system calls alone do"
            );
        }
    }
    tracing::info!("this machine has {}", sandbox.capabilities());
    Ok(sandbox)
}

/// What this worker can build with, and whether it can.
async fn backends(
    config: &WorkerConfig,
    host: &Host,
    sandbox: &Sandbox,
) -> Result<(Backends, Arc<Health>), RoleError> {
    let proxies = config.proxies.clone().or_of_environment();
    let fetcher = Fetcher::through(&proxies, FetchLimits::default())?;
    let mut backends: BTreeMap<String, Arc<dyn Rebuild>> = BTreeMap::new();
    let folder = config.attempts_dir();
    let mut attempts = vec![folder.clone()];
    let parts = WorkerParts {
        work_dir: &config.work_dir,
        bounds: &config.bounds,
        proxies: &proxies,
        sandbox,
        fetcher: &fetcher,
        clock: &host.clock,
    };
    for (name, settings) in &config.built_in {
        let opened = settings.open(&parts);
        let opened = opened.map_err(|(at, error)| RoleError::io("prepare", &at)(error))?;
        backends.insert((*name).to_owned(), opened.backend);
        attempts.extend(opened.attempts);
    }
    for (name, script) in &config.scripts {
        let backend = ScriptBackend::new(script.clone(), sandbox.clone(), fetcher.clone());
        backends.insert(name.clone(), Arc::new(backend));
    }
    let diffoscope = &config.diffoscope;
    let setup = BackendsSetup {
        folder: folder.clone(),
        backends,
        fetcher,
        clock: host.clock.clone(),
        diffoscope: diffoscope
            .enabled
            .then(|| Diffoscope::new(diffoscope.clone(), sandbox.clone())),
    };
    let known = setup.backends.clone();
    let backends = Backends::open(setup).await.map_err(RoleError::io("prepare", &folder))?;
    let health = Health::new(known, attempts).await;
    Ok((backends, health))
}
