use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rebuilder_actors::port::{Clock, Monotonic, Progress};
use rebuilder_actors::protocol::{Sha256, UtcMillis};
use serde::{Deserialize, Serialize};

use super::chroot::say;
use super::folders::{self, Folders};
use crate::backend::BuildError;
use crate::sandbox;

/// A base root: the packages that every build needs, never changed once it is there. Attempts have
/// it as their lower layer.
pub(crate) struct Base {
    folder: PathBuf,
    record: Record,
    checked_at: Mutex<Monotonic>,
}

/// What is kept beside a base root; written last, so that a base root without it is incomplete.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    key: String,
    made_at: UtcMillis,
    /// Digest of each index that it was made of, by URL.
    releases: BTreeMap<String, Sha256>,
}

impl Base {
    /// The root file system.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }
}

/// How the base roots of one distribution are made.
pub(crate) trait Recipe: Sync {
    /// Names everything that decides what is in the base root: a name of a folder.
    fn key(&self) -> &str;

    /// What it is made of, for the log.
    fn summary(&self) -> String;

    /// Digests of the signed indexes that it is made of, by URL: they change when its packages may
    /// have changed.
    fn indexes(&self) -> impl Future<Output = Result<BTreeMap<String, Sha256>, BuildError>> + Send;

    /// Makes the root file system `root` in the folder `making`, and leaves nothing beside it.
    fn make(&self, making: &Path) -> impl Future<Output = Result<(), BuildError>> + Send;
}

/// When a base root is made anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewal {
    /// Age at which it is, though its indexes have not changed.
    pub(crate) age_max: Duration,
    /// How often its indexes are asked whether they have changed.
    pub(crate) check_every: Duration,
}

/// All base roots of a backend: at most one current for each key, made by one attempt while
/// the others that need it wait.
pub(crate) struct Bases {
    folders: Folders,
    renewal: Renewal,
    clock: Arc<dyn Clock>,
    slots: Mutex<BTreeMap<String, Slot>>,
    retired: Mutex<Vec<Arc<Base>>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Base>>>>;

impl Bases {
    /// Takes over what an earlier process left complete, and removes the rest.
    pub(crate) fn open(
        folders: Folders,
        renewal: Renewal,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let mut newest: BTreeMap<String, Base> = BTreeMap::new();
        for home in folders.base_homes() {
            std::fs::create_dir_all(&home)?;
            // Nobody else on this machine is to run what is in there.
            std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700))?;
            for entry in std::fs::read_dir(&home)? {
                let folder = entry?.path();
                let Some(record) = read_record(&folder) else {
                    folders::remove_left_over(&folder);
                    continue;
                };
                let checked_at = Mutex::new(Monotonic::default());
                let base = Base { folder, record, checked_at };
                let older = match newest.get(&base.record.key) {
                    Some(known) if known.record.made_at >= base.record.made_at => Some(base),
                    _ => newest.insert(base.record.key.clone(), base),
                };
                if let Some(older) = older {
                    folders::remove_left_over(&older.folder);
                }
            }
        }
        let slots = newest
            .into_iter()
            .map(|(key, base)| (key, Arc::new(tokio::sync::Mutex::new(Some(Arc::new(base))))))
            .collect();
        let (slots, retired) = (Mutex::new(slots), Mutex::new(Vec::new()));
        Ok(Self { folders, renewal, clock, slots, retired })
    }

    /// The base root of `recipe`, made or renewed when it has to be; the others that need it wait.
    pub(crate) async fn get(
        &self,
        recipe: &impl Recipe,
        progress: &dyn Progress,
    ) -> Result<Arc<Base>, BuildError> {
        let key = recipe.key();
        let slot = Arc::clone(
            self.slots
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(key.to_owned())
                .or_default(),
        );
        let mut held = if let Ok(held) = slot.try_lock() {
            held
        } else {
            say(progress, format!("waits for base root {key}, which another attempt makes"));
            slot.lock().await
        };
        if let Some(base) = held.as_ref()
            && self.is_fresh(base, recipe, progress).await
        {
            return Ok(Arc::clone(base));
        }
        let base = Arc::new(self.make(recipe, progress).await?);
        if let Some(old) = held.replace(Arc::clone(&base)) {
            self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(old);
        }
        Ok(base)
    }

    /// Deletes superseded base roots that nobody uses any more.
    pub(crate) async fn sweep(&self) {
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
        self.folders.sweep().await;
    }

    async fn is_fresh(&self, base: &Base, recipe: &impl Recipe, progress: &dyn Progress) -> bool {
        if !base.root().is_dir() {
            return false;
        }
        let limit = i64::try_from(self.renewal.age_max.as_millis()).unwrap_or(i64::MAX);
        let age = self.clock.utc().0.saturating_sub(base.record.made_at.0);
        // A negative age: the wall clock stepped back; nothing is known then.
        if !(0..limit).contains(&age) {
            say(progress, format!("base root {} is renewed: too old", base.record.key));
            return false;
        }
        let now = self.clock.monotonic();
        let checked_at = *base.checked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due =
            checked_at == Monotonic::default() || now.since(checked_at) >= self.renewal.check_every;
        if !is_due {
            return true;
        }
        match recipe.indexes().await {
            Ok(releases) if releases == base.record.releases => {
                *base.checked_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
                true
            }
            Ok(_) => {
                say(progress, format!("base root {}: its indexes have changed", base.record.key));
                false
            }
            Err(_) => {
                // What is there was right a while ago; whether the mirror answers shows itself.
                say(progress, "indexes cannot be asked for changes: base root used as it is");
                true
            }
        }
    }

    async fn make(
        &self,
        recipe: &impl Recipe,
        progress: &dyn Progress,
    ) -> Result<Base, BuildError> {
        let key = recipe.key();
        let began = self.clock.monotonic();
        // Read before the packages: what changes meanwhile is then found at the next check.
        let releases = recipe.indexes().await?;
        let home = self.folders.base_home();
        let making = home.join(format!(".new-{key}"));
        sandbox::clear(&making).await?;
        std::fs::create_dir_all(&making)
            .map_err(|error| BuildError::io("make", &making, &error))?;
        say(progress, format!("makes base root {key}: {}", recipe.summary()));
        let ended = recipe.make(&making).await;
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
}

fn read_record(folder: &Path) -> Option<Record> {
    let is_made = !folder.file_name()?.to_str()?.starts_with('.');
    let bytes = std::fs::read(folder.join(RECORD)).ok()?;
    let record = serde_json::from_slice(&bytes).ok()?;
    (is_made && folder.join("root").is_dir()).then_some(record)
}

const RECORD: &str = "base.json";
