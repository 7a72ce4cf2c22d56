use serde::Deserialize;

use crate::port::Group;
use crate::protocol::stored::Membership;
use crate::protocol::{Artifact, ArtifactId, BuildInput, IndexTrust, RemoteFile, Sha256, SourceId};

/// Memberships of one job, packed: tens of thousands of jobs have a dozen small texts each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed(Box<[u8]>);

/// A [`Membership`] in place: what it borrows costs no memory of its own. The fields are those of
/// the original, in its order, for that is all that postcard goes by. Texts are written as bytes
/// are, and as bytes they need no look at whether they are UTF-8.
#[derive(Deserialize)]
struct View<'a> {
    profile: &'a [u8],
    release: Option<&'a [u8]>,
    #[expect(dead_code, reason = "holds a place")]
    source: SourceId,
    input: BuildInput,
    source_file: Option<RemoteFile>,
    archives: i32,
    index: IndexTrust,
    #[serde(borrow)]
    artifacts: Vec<(ArtifactId, ArtifactView<'a>)>,
}

/// As [`View`], of an [`Artifact`].
#[derive(Deserialize)]
struct ArtifactView<'a> {
    name: &'a [u8],
    version: &'a [u8],
    component: Option<&'a [u8]>,
    architecture: &'a [u8],
    file: &'a [u8],
    url: &'a [u8],
    size: Option<u64>,
    sha256: Option<Sha256>,
}

impl Packed {
    pub(super) fn new(memberships: &[Membership]) -> Self {
        let packed = postcard::to_allocvec(memberships);
        Self(packed.expect("memberships have only types that postcard can write").into())
    }

    /// In about a microsecond.
    pub(super) fn unpack(&self) -> Vec<Membership> {
        postcard::from_bytes(&self.0).expect("packed by `Packed::new`")
    }

    /// True when there is none.
    pub(super) fn is_empty(&self) -> bool {
        // The length comes first.
        self.0.first().is_none_or(|length| *length == 0)
    }

    /// True when `profile` has one, for any release.
    pub(super) fn names(&self, profile: &str) -> bool {
        self.views().iter().any(|view| view.profile == profile.as_bytes())
    }

    /// How many `profile` has, one for each release.
    pub(super) fn count(&self, profile: &str) -> usize {
        // The length comes first: nearly every job has one.
        if self.0.first().is_none_or(|length| *length <= 1) {
            return usize::from(self.names(profile));
        }
        self.views().iter().filter(|view| view.profile == profile.as_bytes()).count()
    }

    /// True when one of the artifacts, with the release of its membership, is as asked for.
    pub(super) fn has(&self, is_asked: impl Fn(Option<&str>, &ArtifactTexts<'_>) -> bool) -> bool {
        self.views().iter().any(|view| {
            let release = view.release.map(text);
            view.artifacts.iter().any(|(_, artifact)| is_asked(release, &artifact.texts()))
        })
    }

    /// The release of each membership that has one, in their order.
    pub(super) fn releases(&self) -> Vec<String> {
        let views = self.views();
        views.iter().filter_map(|view| view.release.map(text).map(str::to_owned)).collect()
    }

    /// True when `profile`'s for the release of `group` says exactly what the group says.
    pub(super) fn says(&self, profile: &str, group: &Group, archives: i32) -> bool {
        self.views().iter().any(|view| {
            view.profile == profile.as_bytes()
                && view.release == group.release.as_deref().map(str::as_bytes)
                && view.archives == archives
                && view.index == group.index
                && view.input == group.input
                && view.source_file == group.source_file
                && view.artifacts.len() == group.artifacts.len()
                && view.artifacts.iter().zip(&group.artifacts).all(|((_, a), b)| a.is(b))
        })
    }

    fn views(&self) -> Vec<View<'_>> {
        postcard::from_bytes(&self.0).expect("packed by `Packed::new`")
    }
}

/// What filters ask of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArtifactTexts<'a> {
    /// Of the binary package.
    pub name: &'a str,
    /// Of the binary package.
    pub version: &'a str,
    /// `None` where the distribution has none.
    pub component: Option<&'a str>,
    /// Of the file: `all` too.
    pub architecture: &'a str,
}

impl<'a> From<&'a Artifact> for ArtifactTexts<'a> {
    fn from(artifact: &'a Artifact) -> Self {
        Self {
            name: &artifact.name,
            version: &artifact.version,
            component: artifact.component.as_deref(),
            architecture: &artifact.architecture,
        }
    }
}

/// What was a text when it was packed.
fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}

impl<'a> ArtifactView<'a> {
    fn texts(&self) -> ArtifactTexts<'a> {
        ArtifactTexts {
            name: text(self.name),
            version: text(self.version),
            component: self.component.map(text),
            architecture: text(self.architecture),
        }
    }

    fn is(&self, artifact: &Artifact) -> bool {
        let Artifact { name, version, component, architecture, file, url, size, sha256 } = artifact;
        self.file == file.as_bytes()
            && self.url == url.as_bytes()
            && self.name == name.as_bytes()
            && self.version == version.as_bytes()
            && self.component == component.as_deref().map(str::as_bytes)
            && self.architecture == architecture.as_bytes()
            && self.size == *size
            && self.sha256 == *sha256
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn artifact(name: &str) -> Artifact {
        Artifact {
            name: name.into(),
            version: "1:2.0-3+b1".into(),
            component: Some("main".into()),
            architecture: "amd64".into(),
            file: format!("{name}_2.0-3+b1_amd64.deb").into(),
            url: format!("https://mirror.example.org/pool/{name}.deb").into(),
            size: Some(70_000),
            sha256: Some(Sha256([7; 32])),
        }
    }

    fn group(release: Option<&str>) -> Group {
        Group {
            distribution: "debian".into(),
            release: release.map(Into::into),
            source: "a".into(),
            version: "1:2.0-3+b1".into(),
            architecture: "amd64".into(),
            input_name: "a.buildinfo".into(),
            input: BuildInput::Recorded {
                url: "https://mirror.example.org/a".into(),
                sha256: None,
            },
            source_file: Some(RemoteFile {
                url: "https://mirror.example.org/a.dsc".into(),
                size: None,
                sha256: Some(Sha256([9; 32])),
            }),
            archives: Arc::new(vec![]),
            artifacts: vec![artifact("a"), artifact("b")],
            index: IndexTrust::Signed,
            index_sha256: None,
        }
    }

    fn membership(profile: &str, group: &Group) -> Membership {
        let artifacts = group.artifacts.iter().cloned();
        Membership {
            profile: profile.into(),
            release: group.release.clone(),
            source: SourceId(300),
            input: group.input.clone(),
            source_file: group.source_file.clone(),
            archives: 3,
            index: group.index,
            artifacts: (1000..).map(ArtifactId).zip(artifacts).collect(),
        }
    }

    #[test]
    fn what_was_packed_is_said_and_nothing_else() {
        type Change = fn(&mut Group);
        let changes: [Change; 15] = [
            |g| g.release = None,
            |g| g.input = BuildInput::Suite,
            |g| g.source_file = None,
            |g| g.source_file.as_mut().unwrap().size = Some(1),
            |g| g.index = IndexTrust::HashOnly,
            |g| drop(g.artifacts.pop()),
            |g| g.artifacts.push(artifact("c")),
            |g| g.artifacts[1].name = "c".into(),
            |g| g.artifacts[1].version = "2".into(),
            |g| g.artifacts[1].component = None,
            |g| g.artifacts[1].architecture = "all".into(),
            |g| g.artifacts[1].file = "c".into(),
            |g| g.artifacts[1].url = "https://mirror.example.org/c".into(),
            |g| g.artifacts[1].size = None,
            |g| g.artifacts[1].sha256 = Some(Sha256([8; 32])),
        ];
        let [one, two] = [Some("one"), Some("two")].map(group);
        let packed = Packed::new(&[membership("p", &one), membership("p", &two)]);
        assert!(packed.says("p", &one, 3) && packed.says("p", &two, 3));
        assert!(!packed.says("q", &one, 3) && !packed.says("p", &one, 4));
        for (number, change) in changes.iter().enumerate() {
            let mut changed = two.clone();
            change(&mut changed);
            assert!(!packed.says("p", &changed, 3), "change {number}");
        }
    }

    #[test]
    fn packed_memberships_come_out_as_they_went_in() {
        let memberships = [membership("p", &group(None)), membership("q", &group(Some("one")))];
        let packed = Packed::new(&memberships);
        assert_eq!(packed.unpack(), memberships);
        assert!(packed.names("p") && packed.names("q") && !packed.names("r"));
        assert_eq!(packed.releases(), ["one"]);
        let unpacked: Vec<Artifact> =
            memberships[0].artifacts.iter().map(|(_, a)| a.clone()).collect();
        for artifact in &unpacked {
            let is_it = |release: Option<&str>, texts: &ArtifactTexts<'_>| {
                release == Some("one") && *texts == ArtifactTexts::from(artifact)
            };
            assert!(packed.has(is_it), "{artifact:?}");
        }
        assert!(!packed.has(|release, _| release == Some("two")));
        assert!(!packed.is_empty() && Packed::new(&[]).is_empty());
    }
}
