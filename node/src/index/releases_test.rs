use rebuilder_actors::protocol::{Artifact, BuildInput, IndexTrust, ReleaseState};

use super::*;

/// A release with as many artifacts as its text has letters, or that cannot be read. One that
/// begins with `=` was signed again and says what it said before; `!` is never read to its end.
struct One {
    name: &'static str,
    text: Mutex<Result<&'static str, &'static str>>,
}

impl One {
    fn new(name: &'static str, text: &'static str) -> Arc<Self> {
        Arc::new(Self { name, text: Mutex::new(Ok(text)) })
    }

    fn becomes(&self, text: Result<&'static str, &'static str>) {
        *self.text.lock().unwrap() = text;
    }
}

impl IndexReader for One {
    fn read<'a>(
        &'a self,
        since: Option<&'a IndexState>,
        _: UtcMillis,
        sink: &'a mut (dyn FnMut(Group) + Send),
    ) -> BoxFuture<'a, Result<IndexRead, IndexError>> {
        Box::pin(async move {
            let text = (*self.text.lock().unwrap()).map_err(|reason| IndexError::Fetch {
                url: self.name.into(),
                reason: reason.into(),
            })?;
            if text == "!" {
                return core::future::pending().await;
            }
            let settings = Sha256::of(format!("{} {text}", self.name).as_bytes());
            if since.is_some_and(|since| since.settings == settings) {
                return Ok(IndexRead::Unchanged);
            }
            if !text.starts_with('=') {
                sink(group(self.name, text.len()));
            }
            let release =
                ReleaseState { name: self.name.into(), sha256: settings, date: UtcMillis(1) };
            Ok(IndexRead::Changed(IndexState { releases: vec![release], settings }))
        })
    }

    fn kept(&self) -> Vec<KeptRelease> {
        let is_as_before = self.text.lock().unwrap().is_ok_and(|text| text.starts_with('='));
        let kept = is_as_before.then(|| KeptRelease { name: self.name.into(), error: None });
        kept.into_iter().collect()
    }

    fn unread(&self) -> Unread {
        Unread { notes: vec![format!("{} is small", self.name)], ..Unread::default() }
    }
}

fn group(release: &str, artifacts: usize) -> Group {
    let artifact = |n: usize| Artifact {
        name: format!("p{n}").into(),
        version: "1".into(),
        component: None,
        architecture: "all".into(),
        file: format!("p{n}.deb").into(),
        url: "http://mirror.example.org/p.deb".into(),
        size: None,
        sha256: None,
    };
    Group {
        distribution: "debian".into(),
        release: Some(release.into()),
        source: "p".into(),
        version: "1".into(),
        architecture: "all".into(),
        input_name: "suite".into(),
        input: BuildInput::Suite,
        source_file: None,
        archives: Arc::default(),
        artifacts: (0..artifacts).map(artifact).collect(),
        index: IndexTrust::Signed,
        index_sha256: None,
    }
}

fn all(releases: &[&Arc<One>], packages_max: usize) -> Releases {
    let reader = |one: &&Arc<One>| (one.name.into(), Arc::clone(one) as Arc<dyn IndexReader>);
    Releases::new(releases.iter().map(reader).collect(), packages_max, "mirror".into())
}

/// How a read ended, and the releases of which groups came.
async fn read(
    all: &Releases,
    since: Option<&IndexState>,
) -> (Result<IndexRead, IndexError>, Vec<String>) {
    let mut came = Vec::new();
    let mut sink = |group: Group| came.push(group.release.unwrap_or_default().to_string());
    let read = all.read(since, UtcMillis(5), &mut sink).await;
    (read, came)
}

/// Releases that are to stay as they are, and whether they failed.
fn kept(all: &Releases) -> Vec<(String, bool)> {
    let kept = all.kept();
    kept.iter().map(|kept| (kept.name.to_string(), kept.error.is_some())).collect()
}

fn state(read: Result<IndexRead, IndexError>) -> IndexState {
    match read {
        Ok(IndexRead::Changed(state)) => state,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_release_that_cannot_be_read_costs_that_release_alone() {
    let (one, two) = (One::new("one", "aaa"), One::new("two", "bb"));
    let both = all(&[&one, &two], 100);
    two.becomes(Err("gone"));
    let (first, came) = read(&both, None).await;
    assert_eq!((came, kept(&both)), (vec!["one".to_owned()], vec![("two".to_owned(), true)]));
    let since = state(first);
    assert_eq!(since.releases.len(), 1);

    // It is there again: only it is read, and the other one stays as it is.
    two.becomes(Ok("bb"));
    let (second, came) = read(&both, Some(&since)).await;
    assert_eq!((came, kept(&both)), (vec!["two".to_owned()], vec![("one".to_owned(), false)]));
    let since = state(second);
    assert_eq!(since.releases.len(), 2);
    let (third, came) = read(&both, Some(&since)).await;
    assert_eq!((third, came.len()), (Ok(IndexRead::Unchanged), 0));

    // It fails again, while nothing else changes: what it had stays.
    two.becomes(Err("gone"));
    assert_eq!(read(&both, Some(&since)).await.0, Ok(IndexRead::Unchanged));
    assert_eq!(kept(&both), [("one".to_owned(), false), ("two".to_owned(), true)]);
    one.becomes(Ok("aaaa"));
    let changed = state(read(&both, Some(&since)).await.0);
    assert_eq!(changed.releases.len(), 2, "its date is remembered");
    assert_eq!(both.unread().notes, ["one is small", "two is small"]);
}

#[tokio::test]
async fn where_every_release_fails_the_profile_does() {
    let (one, two) = (One::new("one", "a"), One::new("two", "b"));
    let both = all(&[&one, &two], 100);
    one.becomes(Err("refused"));
    two.becomes(Err("gone"));
    let error = read(&both, None).await.0.unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch one: refused");
}

#[tokio::test]
async fn the_limit_is_of_all_releases_together() {
    let (one, two) = (One::new("one", "aaa"), One::new("two", "bb"));
    let both = all(&[&one, &two], 4);
    let error = read(&both, None).await.0.unwrap_err().to_string();
    assert!(error.contains("name 5 packages together, more than packages_max = 4"), "{error}");
}

#[tokio::test]
async fn what_was_answered_and_not_used_is_answered_again() {
    let (one, two) = (One::new("one", "a"), One::new("two", "b"));
    let both = all(&[&one, &two], 100);
    let first = state(read(&both, None).await.0);
    one.becomes(Ok("aa"));
    assert_eq!(read(&both, Some(&first)).await.1, ["one"]);
    // The hand-over broke off: the state before is given again.
    let (again, came) = read(&both, Some(&first)).await;
    assert_eq!(came, ["one", "two"]);
    assert_eq!(read(&both, Some(&state(again))).await.0, Ok(IndexRead::Unchanged));
}

#[tokio::test]
async fn a_release_that_was_signed_again_stays_and_still_counts() {
    let (one, two) = (One::new("one", "aaa"), One::new("two", "bb"));
    let both = all(&[&one, &two], 5);
    let first = state(read(&both, None).await.0);
    one.becomes(Ok("=aaa"));
    let (second, came) = read(&both, Some(&first)).await;
    assert!(came.is_empty(), "{came:?}");
    assert_eq!(kept(&both), [("one".to_owned(), false), ("two".to_owned(), false)]);
    let second = state(second);
    assert_ne!(second, first);
    assert_eq!(read(&both, Some(&second)).await.0, Ok(IndexRead::Unchanged));
    two.becomes(Ok("bbb"));
    let error = read(&both, Some(&second)).await.0.unwrap_err().to_string();
    assert!(error.contains("name 6 packages together"), "{error}");
}

#[tokio::test]
async fn what_a_read_took_in_that_broke_off_is_taken_in_again() {
    let (one, two) = (One::new("one", "aaa"), One::new("two", "!"));
    let both = all(&[&one, &two], 4);
    // It is cancelled while it reads the second release, as where its actor is started again.
    let cancelled = tokio::time::timeout(core::time::Duration::from_millis(1), read(&both, None));
    assert!(cancelled.await.is_err());
    two.becomes(Ok("bb"));
    assert!(read(&both, None).await.0.is_err(), "refused: five packages");
    two.becomes(Ok("b"));
    let (first, came) = read(&both, None).await;
    assert_eq!(came, ["one", "two"], "nothing of the first was ever handed over whole");
    let first = state(first);
    one.becomes(Ok("aa"));
    two.becomes(Ok("bbb"));
    assert!(read(&both, Some(&first)).await.0.is_err());
    two.becomes(Ok("b"));
    let (second, came) = read(&both, Some(&first)).await;
    assert_eq!(came, ["one", "two"]);
    // All of them failed: nothing was taken in, and nothing is read for it.
    let second = state(second);
    one.becomes(Err("gone"));
    two.becomes(Err("gone"));
    assert!(read(&both, Some(&second)).await.0.is_err());
    one.becomes(Ok("aa"));
    two.becomes(Ok("b"));
    assert_eq!(read(&both, Some(&second)).await.0, Ok(IndexRead::Unchanged));
}
