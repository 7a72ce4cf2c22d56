//! A distribution of this file and of its line in the registry: what a new one needs is no more.
//!
//! Its index is a file `INDEX` with `source version digest file` in each line; a recipe for each
//! source lies in the folder that `buildinfos` names, and a script of the operator's cooks it.

use core::any::Any;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rebuilder_actors::domain::queue::{Event, Fact, Now, Queue};
use rebuilder_actors::port::{
    Backend as _, BoxFuture, Group, IndexError, IndexRead, IndexReader, KeptRelease, Monotonic,
};
use rebuilder_actors::protocol::{
    Artifact, Assignment, BuildInput, Ending, IndexState, IndexTrust, PublicKey, Sha256, UtcMillis,
};
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use super::{BuiltIn, Distribution, Identity, ReaderParts, WorkerParts, WorkerSettings, Written};
use crate::backend::{Backends, BackendsSetup, ScriptBackend, ScriptSettings, testing};
use crate::clock::SystemClock;
use crate::config::value::AbsolutePath;
use crate::config::{Config, ProfileConfig, Role, keys, table};
use crate::fetch::Fetcher;
use crate::index::Environment;

pub(crate) struct Toy;

impl Distribution for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn required(&self, _: &Written<'_>) -> Vec<&'static str> {
        Vec::new()
    }

    fn reader(&self, profile: &ProfileConfig, parts: &ReaderParts<'_>) -> Arc<dyn IndexReader> {
        let (profile, fetcher) = (profile.clone(), parts.fetcher.clone());
        Arc::new(ToyReader { profile, fetcher })
    }

    fn keys(&self) -> &'static [&'static str] {
        keys::<ToyTable>()
    }

    fn docs(&self) -> &'static str {
        "## `[toy]`\n\n| key | default | meaning |\n|---|---|---|\n| `script` | none | cooks |\n"
    }

    fn settings(
        &self,
        given: Option<Spanned<DeValue<'_>>>,
    ) -> Result<Option<Arc<dyn WorkerSettings>>, toml::de::Error> {
        let ToyTable { script } = table(given)?;
        Ok(script.map(|script| Arc::new(ToySettings(script.0)) as Arc<dyn WorkerSettings>))
    }

    fn package_extensions(&self) -> &'static [&'static str] {
        &["toy"]
    }

    fn identity(&self, file: &mut File) -> Option<Identity> {
        let mut head = String::new();
        file.take(200).read_to_string(&mut head).ok()?;
        let mut words = head.lines().next()?.strip_prefix("toy ")?.split(' ').map(str::to_owned);
        let (package, version, architecture) = (words.next()?, words.next()?, words.next()?);
        Some(Identity { package, version, architecture })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ToyTable {
    script: Option<AbsolutePath>,
}

#[derive(Debug, PartialEq, Eq)]
struct ToySettings(PathBuf);

impl WorkerSettings for ToySettings {
    fn summary(&self, _: &Path) -> String {
        format!("toy: cooked by {}", self.0.display())
    }

    fn open(&self, worker: &WorkerParts<'_>) -> Result<BuiltIn, (PathBuf, io::Error)> {
        let settings = ScriptSettings { program: self.0.clone(), path: None, pass: Vec::new() };
        let backend =
            Arc::new(ScriptBackend::new(settings, worker.sandbox.clone(), worker.fetcher.clone()));
        Ok(BuiltIn { backend, attempts: Vec::new() })
    }

    fn is_same(&self, other: &dyn WorkerSettings) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<Self>() == Some(self)
    }
}

struct ToyReader {
    profile: ProfileConfig,
    fetcher: Fetcher,
}

impl ToyReader {
    fn group(&self, line: &str) -> Option<Group> {
        let Environment::Recorded { buildinfo_url } = &self.profile.environment else {
            return None;
        };
        let mut words = line.split(' ');
        let (source, version) = (words.next()?, words.next()?);
        let (digest, file) = (words.next()?, words.next()?);
        let input_name = format!("{source}_{version}.recipe");
        let url = format!("{buildinfo_url}/{input_name}").into();
        let artifact = Artifact {
            name: source.into(),
            version: version.into(),
            component: None,
            architecture: "any".into(),
            file: file.into(),
            url: format!("{}/{file}", self.profile.source).into(),
            size: None,
            sha256: Some(digest.parse().ok()?),
        };
        Some(Group {
            distribution: (&*self.profile.distribution).into(),
            release: None,
            source: source.into(),
            version: version.into(),
            architecture: "any".into(),
            input_name: input_name.into(),
            input: BuildInput::Recorded { url, sha256: None },
            source_file: None,
            archives: Arc::default(),
            artifacts: vec![artifact],
            index: IndexTrust::Signed,
            index_sha256: None,
        })
    }
}

impl IndexReader for ToyReader {
    fn read<'a>(
        &'a self,
        since: Option<&'a IndexState>,
        _: UtcMillis,
        sink: &'a mut (dyn FnMut(Group) + Send),
    ) -> BoxFuture<'a, Result<IndexRead, IndexError>> {
        Box::pin(async move {
            let url = format!("{}/INDEX", self.profile.source);
            let bytes = self.fetcher.get(&url, 1 << 20).await.map_err(|error| {
                IndexError::Fetch { url: url.clone(), reason: error.to_string() }
            })?;
            let state = IndexState { releases: Vec::new(), settings: Sha256::of(&bytes) };
            if since == Some(&state) {
                return Ok(IndexRead::Unchanged);
            }
            for line in String::from_utf8_lossy(&bytes).lines() {
                let wrong = || IndexError::Content { url: url.clone(), reason: line.to_owned() };
                sink(self.group(line).ok_or_else(wrong)?);
            }
            Ok(IndexRead::Changed(state))
        })
    }

    fn kept(&self) -> Vec<KeptRelease> {
        Vec::new()
    }
}

/// An archive with two packages, a script that cooks, and what a standalone node is told of them.
fn scene(folder: &Path) -> Config {
    let digest = |name: &str| Sha256::of(format!("toy {name} 1 any\ncooked {name}\n").as_bytes());
    let index = ["soup", "cake"].map(|name| format!("{name} 1 {} {name}-1.toy\n", digest(name)));
    std::fs::write(folder.join("INDEX"), index.concat()).unwrap();
    for name in ["soup", "cake"] {
        std::fs::write(folder.join(format!("{name}_1.recipe")), name).unwrap();
    }
    // What it leaves has another name than the published file, and says which package it is.
    testing::script(
        &folder.join("cook"),
        "name=$(cat \"$1\")\nprintf 'toy %s 1 any\\ncooked %s\\n' $name $name \
         > \"$REBUILDERD_OUTDIR/x.toy\"",
    );
    let at = folder.display();
    let text = format!(
        "[worker]\nwork_dir = '{at}/work'\n[debian]\nenabled = false\n\
         [toy]\nscript = '{at}/cook'\n\
         [profile.toys]\ndistribution = 'toy'\nsource = '{at}'\nbuildinfos = '{at}'\n"
    );
    Config::parse(&text, Path::new("/x/node.toml"), Role::Standalone).unwrap()
}

async fn read(config: &Config, fetcher: &Fetcher) -> (Vec<Group>, IndexState) {
    let profile = &config.coordinator.as_ref().unwrap().profiles[0];
    let parts = ReaderParts { fetcher, cache: Path::new("/nowhere") };
    let reader = profile.index.reader(profile, &parts);
    let mut groups = Vec::new();
    let ended = reader.read(None, UtcMillis(0), &mut |group| groups.push(group)).await.unwrap();
    let IndexRead::Changed(state) = ended else { panic!("nothing was known") };
    let again = reader.read(Some(&state), UtcMillis(0), &mut |_| {}).await.unwrap();
    assert_eq!(again, IndexRead::Unchanged);
    (groups, state)
}

#[tokio::test]
async fn a_distribution_of_one_file_is_configured_read_and_queued() {
    let folder = tempfile::tempdir().unwrap();
    let config = scene(folder.path());
    assert!(config.summary().contains("toy: cooked by"), "{}", config.summary());
    assert!(config.summary().contains("toy (index: toy)"), "{}", config.summary());
    let (groups, index) = read(&config, &testing::fetcher()).await;
    let now = Now { monotonic: Monotonic(core::time::Duration::from_secs(1)), utc: UtcMillis(1) };
    let settings = config.coordinator.unwrap().queue_settings(PublicKey([1; 32]));
    let mut queue = Queue::empty(settings, now);
    let profile: Box<str> = "toys".into();
    let mut jobs = Vec::new();
    for event in [
        Event::SyncBegan { profile: profile.clone() },
        Event::SyncPage { profile: profile.clone(), groups },
        Event::SyncEnded { profile, index, took_ms: 1 },
    ] {
        for fact in queue.handle(now, event).facts {
            if let Fact::Job(job) = fact {
                jobs.push(format!("{} {}", job.key.backend, job.key.source));
            }
        }
    }
    jobs.sort();
    assert_eq!(jobs, ["toy cake", "toy soup"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_backend_rebuilds_and_its_own_format_names_what_was_built() {
    let folder = tempfile::tempdir().unwrap();
    let config = scene(folder.path());
    let fetcher = testing::fetcher();
    let (groups, _) = read(&config, &fetcher).await;
    let worker = config.worker.unwrap();
    assert_eq!(worker.built_in.keys().collect::<Vec<_>>(), [&"toy"]);
    let clock: Arc<dyn rebuilder_actors::port::Clock> = Arc::new(SystemClock::new());
    let sandbox = testing::sandbox();
    let parts = WorkerParts {
        sandbox: &sandbox,
        work_dir: &worker.work_dir,
        bounds: &worker.bounds,
        proxies: &worker.proxies,
        fetcher: &fetcher,
        clock: &clock,
    };
    let opened = worker.built_in["toy"].open(&parts).unwrap();
    let setup = BackendsSetup {
        folder: worker.attempts_dir(),
        backends: [("toy".to_owned(), opened.backend)].into(),
        fetcher: fetcher.clone(),
        clock,
        diffoscope: None,
    };
    let backends = Backends::open(setup).await.unwrap();
    let group = &groups[0];
    let BuildInput::Recorded { url, .. } = &group.input else { panic!("{group:?}") };
    let mut order: Assignment = testing::assignment(url, group.artifacts.clone());
    order.key.backend = "toy".into();
    order.key.architecture = "any".into();
    order.key.input = group.input_name.clone();
    let attempted = backends.attempt(&order, &testing::Recorder::default()).await;
    let Ending::Built(rebuilt) = attempted.ending else { panic!("{:?}", attempted.ending) };
    let output = rebuilt[0].output.map(|output| output.sha256);
    assert_eq!(output, group.artifacts[0].sha256);
    backends.release(order.attempt).await;
}

#[test]
fn a_table_of_a_distribution_is_read_by_it_alone() {
    let read = |text: &str| Config::parse(text, Path::new("/x/node.toml"), Role::Coordinator);
    let error = read("[toy]\nscript = 'relative'\n").unwrap_err().to_string();
    assert!(error.contains(":2:10: `script`"), "{error}");
    let error = read("[toy]\ntmpfs = '/x'\n").unwrap_err().to_string();
    assert!(error.contains("unknown key `tmpfs` here: it belongs in [debian]"), "{error}");
}
