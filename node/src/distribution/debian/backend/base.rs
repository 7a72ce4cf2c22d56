use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rebuilder_actors::port::{Clock, Monotonic, Progress};
use rebuilder_actors::protocol::{FaultKind, Sha256, UtcMillis};
use serde::{Deserialize, Serialize};

use super::archives::{Archives, base_key};
use super::bootstrap::Bootstrap;
use super::chroot::{Chroot, say};
use super::packages::PackageCache;
use super::settings::DebianSettings;
use super::storage;
use super::tools::KEYRING_INSIDE;
use crate::backend::{BuildError, faults};
use crate::fetch::Fetcher;
use crate::sandbox;

/// A base root: the packages that every build needs, never changed once it is there. Attempts have
/// it as their lower layer.
pub(super) struct Base {
    folder: PathBuf,
    record: Record,
    checked_at: Mutex<Monotonic>,
}

/// What is kept beside a base root; written last, so that a base root without it is incomplete.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    key: String,
    made_at: UtcMillis,
    /// Digest of each suite's `InRelease`, by URL.
    releases: BTreeMap<String, Sha256>,
}

impl Base {
    /// The root file system.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }
}

/// All base roots of this worker: at most one current for each key, made by one attempt while
/// the others that need it wait.
pub(super) struct Bases {
    settings: DebianSettings,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    slots: Mutex<BTreeMap<String, Slot>>,
    retired: Mutex<Vec<Arc<Base>>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Base>>>>;

impl Bases {
    /// Takes over what an earlier process left complete, and removes the rest.
    pub(super) fn open(
        settings: DebianSettings,
        fetcher: Fetcher,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let mut newest: BTreeMap<String, Base> = BTreeMap::new();
        for home in storage::homes(&settings) {
            let home = storage::base_home(&home);
            std::fs::create_dir_all(&home)?;
            // Nobody else on this machine is to run what is in there.
            std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700))?;
            for entry in std::fs::read_dir(&home)? {
                let folder = entry?.path();
                let Some(record) = read_record(&folder) else {
                    storage::remove_left_over(&folder);
                    continue;
                };
                let checked_at = Mutex::new(Monotonic::default());
                let base = Base { folder, record, checked_at };
                let older = match newest.get(&base.record.key) {
                    Some(known) if known.record.made_at >= base.record.made_at => Some(base),
                    _ => newest.insert(base.record.key.clone(), base),
                };
                if let Some(older) = older {
                    storage::remove_left_over(&older.folder);
                }
            }
        }
        let slots = newest
            .into_iter()
            .map(|(key, base)| (key, Arc::new(tokio::sync::Mutex::new(Some(Arc::new(base))))))
            .collect();
        let (slots, retired) = (Mutex::new(slots), Mutex::new(Vec::new()));
        Ok(Self { settings, fetcher, clock, slots, retired })
    }

    /// The base root for these archives, made or renewed when it has to be.
    pub(super) async fn get(
        &self,
        architecture: &str,
        archives: &Archives,
        keyring: &Path,
        cache: &PackageCache,
        attempt: &Chroot<'_>,
    ) -> Result<Arc<Base>, BuildError> {
        let progress = attempt.progress;
        let bytes = tokio::fs::read(keyring)
            .await
            .map_err(|error| BuildError::io("read", keyring, &error))?;
        let lines = archives.base_lines(KEYRING_INSIDE);
        let key = base_key(architecture, &lines, &self.settings.base_include, &bytes);
        let slot = Arc::clone(
            self.slots
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(key.clone())
                .or_default(),
        );
        let mut held = if let Ok(held) = slot.try_lock() {
            held
        } else {
            say(progress, format!("waits for base root {key}, which another attempt makes"));
            slot.lock().await
        };
        if let Some(base) = held.as_ref()
            && self.is_fresh(base, archives, progress).await
        {
            return Ok(Arc::clone(base));
        }
        let work =
            Bootstrap { settings: &self.settings, architecture, archives, keyring, cache, attempt };
        let base = Arc::new(self.make(&key, &work).await?);
        if let Some(old) = held.replace(Arc::clone(&base)) {
            self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(old);
        }
        Ok(base)
    }

    /// Deletes superseded base roots that nobody uses any more.
    pub(super) async fn sweep(&self) {
        let unused: Vec<Arc<Base>> = {
            let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
            let (unused, used) =
                retired.drain(..).partition(|base: &Arc<Base>| Arc::strong_count(base) == 1);
            *retired = used;
            unused
        };
        for base in unused {
            if let Err(error) = sandbox::clear(&base.folder).await {
                tracing::warn!(%error, "a superseded base root stays");
            }
        }
        storage::sweep(&self.settings).await;
    }

    async fn is_fresh(&self, base: &Base, archives: &Archives, progress: &dyn Progress) -> bool {
        if !base.root().is_dir() {
            return false;
        }
        let limit = i64::try_from(self.settings.base_max_age.as_millis()).unwrap_or(i64::MAX);
        let age = self.clock.utc().0.saturating_sub(base.record.made_at.0);
        // A negative age: the wall clock stepped back; nothing is known then.
        if !(0..limit).contains(&age) {
            say(progress, format!("base root {} is renewed: too old", base.record.key));
            return false;
        }
        let now = self.clock.monotonic();
        let checked_at = *base.checked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = checked_at == Monotonic::default()
            || now.since(checked_at) >= self.settings.release_check_every;
        if !is_due {
            return true;
        }
        match self.releases(archives).await {
            Ok(releases) if releases == base.record.releases => {
                *base.checked_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
                true
            }
            Ok(_) => {
                say(progress, format!("base root {}: suites have changed", base.record.key));
                false
            }
            Err(_) => {
                // What is there was right a while ago; whether the mirror answers shows itself.
                say(progress, "suites cannot be asked for changes: base root used as it is");
                true
            }
        }
    }

    async fn releases(&self, archives: &Archives) -> Result<BTreeMap<String, Sha256>, BuildError> {
        let mut releases = BTreeMap::new();
        for suite in &archives.suites {
            let url = suite.release_url();
            let bytes = self.fetcher.get(&url, RELEASE_BYTES_MAX).await.map_err(|error| {
                BuildError::fault(
                    faults::of_fetch(&error),
                    format!("suite cannot be read: {error}"),
                )
            })?;
            releases.insert(url, Sha256::of(&bytes));
        }
        Ok(releases)
    }

    async fn make(&self, key: &str, work: &Bootstrap<'_>) -> Result<Base, BuildError> {
        let progress = work.attempt.progress;
        let began = self.clock.monotonic();
        // Read before the packages: what changes meanwhile is then found at the next check.
        let releases = self.releases(work.archives).await?;
        let home = storage::base_home(&storage::home(&self.settings));
        let making = home.join(format!(".new-{key}"));
        sandbox::clear(&making).await?;
        std::fs::create_dir_all(&making)
            .map_err(|error| BuildError::io("make", &making, &error))?;
        say(progress, format!("makes base root {key}: {}", work.summary()));
        let ended = match work.run(&making).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.unread(work, &making).await),
            Err(ended) => Err(ended),
        };
        if ended.is_err()
            // It may have filled the disk, and the next try may be hours away.
            && let Err(error) = sandbox::clear(&making).await
        {
            // Why it was not made says more.
            tracing::warn!(%error, "a base root that was not finished stays");
        }
        ended?;
        let made_at = self.clock.utc();
        let record = Record { key: key.to_owned(), made_at, releases };
        let text = serde_json::to_vec(&record).expect("a record is plain data");
        let file = making.join(RECORD);
        std::fs::write(&file, text).map_err(|error| BuildError::io("write", &file, &error))?;
        let folder = home.join(format!("{key}.{}", made_at.0));
        std::fs::rename(&making, &folder)
            .map_err(|error| BuildError::io("name", &folder, &error))?;
        let now = self.clock.monotonic();
        let secs = now.since(began).as_secs_f32();
        say(progress, format!("base root {key} is ready after {secs:.1} s"));
        Ok(Base { folder, record, checked_at: Mutex::new(now) })
    }

    /// Which fault it is that apt could not read the package lists: asked again, step by step.
    async fn unread(&self, work: &Bootstrap<'_>, making: &Path) -> BuildError {
        if let Err(ended) = self.releases(work.archives).await {
            return ended;
        }
        match work.are_trusted(making).await {
            Err(ended) => ended,
            Ok(true) => {
                let detail = format!("package lists of {} cannot be fetched", work.summary());
                BuildError::fault(FaultKind::FetchFailed, detail)
            }
            Ok(false) => {
                let detail = format!(
                    "apt does not accept the suites of {} (signature, date, name): the log has \
                     what it says",
                    work.summary()
                );
                BuildError::fault(FaultKind::InputsUnavailable, detail)
            }
        }
    }
}

fn read_record(folder: &Path) -> Option<Record> {
    let is_made = !folder.file_name()?.to_str()?.starts_with('.');
    let bytes = std::fs::read(folder.join(RECORD)).ok()?;
    let record = serde_json::from_slice(&bytes).ok()?;
    (is_made && folder.join("root").is_dir()).then_some(record)
}

const RECORD: &str = "base.json";

/// Largest `InRelease` that is read; Debian's have 200 KiB.
const RELEASE_BYTES_MAX: u64 = 8 << 20;
