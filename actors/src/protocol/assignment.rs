use serde::{Deserialize, Serialize};

use super::{Archive, Artifact, AttemptId, BuildInput, JobKey, RemoteFile, Sha256};

/// Everything that a worker is told about one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which attempt.
    pub attempt: AttemptId,
    /// What is built.
    pub key: JobKey,
    /// How the published files were built.
    pub input: BuildInput,
    /// The file that leads to all of the source, as the signed index names it (Debian: the `.dsc`,
    /// which names the others; where a source is a tag of a git repository, its URL says so and the
    /// digest is that of the recipe); `None` where the input itself leads to it.
    pub source: Option<RemoteFile>,
    /// Where packages of the environment come from, in order of preference.
    pub archives: Vec<Archive>,
    /// What is compared: all artifacts of all memberships, sorted by file name.
    pub artifacts: Vec<Artifact>,
    /// How far the index was trusted that named them.
    pub index: IndexTrust,
    /// Digest of the index that named the artifacts; `None` where it has none.
    pub index_sha256: Option<Sha256>,
    /// Published files are fetched and compared with the index also where the rebuild is what the
    /// index names.
    pub check_published: bool,
    /// Bounds of the attempt.
    pub limits: AttemptLimits,
}

impl Assignment {
    /// Digest of the set of artifacts, which a report names: SHA-256 over one line
    /// `{file}\0{sha256 or -}\n` each, in order of file name.
    pub fn artifact_set(&self) -> Sha256 {
        artifact_set_digest(&self.artifacts)
    }
}

/// See [`Assignment::artifact_set`].
pub fn artifact_set_digest(artifacts: &[Artifact]) -> Sha256 {
    let mut lines: Vec<String> = artifacts
        .iter()
        .map(|a| match &a.sha256 {
            Some(digest) => format!("{}\0{digest}\n", a.file),
            None => format!("{}\0-\n", a.file),
        })
        .collect();
    lines.sort_unstable();
    Sha256::of(lines.concat().as_bytes())
}

/// Bounds that the coordinator sets for an attempt; a worker may have narrower ones of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptLimits {
    /// Seconds for the build stage.
    pub build_secs_max: u32,
    /// Seconds for every other stage, each.
    pub stage_secs_max: u32,
    /// Bytes of log that are kept.
    pub log_bytes_max: u64,
}

impl Default for AttemptLimits {
    /// A day for the build as the peer has it, an hour for each other stage, 10 MiB of log.
    fn default() -> Self {
        Self { build_secs_max: 86_400, stage_secs_max: 3_600, log_bytes_max: 10 << 20 }
    }
}

/// How far the index was trusted that named an artifact's digest. Ordered from the best to the
/// worst, so that the maximum of several is what all of them are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexTrust {
    /// The index's own signature was checked against the distribution's keyring.
    Signed,
    /// The package's own signature was checked.
    PackageSignature,
    /// A digest was named, by an index that nobody vouches for.
    HashOnly,
    /// No digest was known: the published file itself was fetched and compared.
    None,
    /// As `Signed`, by an index that breaks these rules.
    SignedWaiving(Waived),
    /// As `HashOnly`, by an index that breaks these rules.
    HashOnlyWaiving(Waived),
}

/// Rules that an index breaks and that the profile waives, or that it cannot be held to. Kept as
/// sets of single words where people and others read it: `date`, `valid-until`, `suite`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Waived {
    /// False: the profile names no digest of the index, so a mirror chooses among all that the
    /// distribution ever signed and that break the same rules.
    pub is_pinned: bool,
    /// It has no date: nothing tells whether it is the newest.
    pub date: bool,
    /// It expired.
    pub valid_until: bool,
    /// It calls itself otherwise than the release that was asked for, or nothing at all.
    pub suite: bool,
}

impl Waived {
    /// True when a rule is waived.
    pub fn is_any(self) -> bool {
        self.date || self.valid_until || self.suite
    }

    /// What is waived by one of the two; pinned where each that waives anything is.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let is_pinned = |one: Self| one.is_pinned || !one.is_any();
        Self {
            is_pinned: is_pinned(self) && is_pinned(other),
            date: self.date || other.date,
            valid_until: self.valid_until || other.valid_until,
            suite: self.suite || other.suite,
        }
    }

    /// The words for what is waived, sorted.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.date, "date"), (self.suite, "suite"), (self.valid_until, "valid-until")];
        all.into_iter().filter(|(is_it, _)| *is_it).map(|(_, word)| word)
    }
}

impl IndexTrust {
    /// The same of an index that breaks these rules; as it is where none is broken.
    #[must_use]
    pub fn waiving(self, waived: Waived) -> Self {
        match self {
            Self::Signed if waived.is_any() => Self::SignedWaiving(waived),
            Self::HashOnly if waived.is_any() => Self::HashOnlyWaiving(waived),
            trust => trust,
        }
    }

    /// Which rules the index breaks.
    pub fn waived(self) -> Waived {
        match self {
            Self::SignedWaiving(waived) | Self::HashOnlyWaiving(waived) => waived,
            Self::Signed | Self::PackageSignature | Self::HashOnly | Self::None => {
                Waived::default()
            }
        }
    }

    /// The same without a word of rules: one of `Signed`, `PackageSignature`, `HashOnly`, `None`.
    #[must_use]
    pub fn plain(self) -> Self {
        match self {
            Self::SignedWaiving(_) => Self::Signed,
            Self::HashOnlyWaiving(_) => Self::HashOnly,
            trust => trust,
        }
    }

    /// True when a distribution may gate on it: somebody signed it, and what is waived is named by
    /// the profile, which pins the digest.
    pub fn is_gate_grade(self) -> bool {
        match self {
            Self::Signed | Self::PackageSignature => true,
            Self::SignedWaiving(waived) => waived.is_pinned,
            Self::HashOnly | Self::HashOnlyWaiving(_) | Self::None => false,
        }
    }

    fn rank(self) -> (u8, bool, Waived) {
        let number = match self {
            Self::Signed => 0,
            Self::PackageSignature => 1,
            Self::SignedWaiving(_) => 2,
            Self::HashOnly => 3,
            Self::HashOnlyWaiving(_) => 4,
            Self::None => 5,
        };
        (number, !self.waived().is_pinned, self.waived())
    }
}

impl Ord for IndexTrust {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for IndexTrust {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRED: Waived =
        Waived { is_pinned: false, date: false, valid_until: true, suite: false };

    #[test]
    fn what_is_waived_is_weaker_unless_it_is_pinned() {
        let pinned = Waived { is_pinned: true, ..EXPIRED };
        let signed = IndexTrust::Signed;
        assert_eq!(signed.waiving(Waived::default()), signed);
        assert!(signed.is_gate_grade() && signed.waiving(pinned).is_gate_grade());
        assert!(!signed.waiving(EXPIRED).is_gate_grade());
        assert!(!IndexTrust::HashOnly.waiving(pinned).is_gate_grade());
        let order = [
            signed,
            IndexTrust::PackageSignature,
            signed.waiving(pinned),
            signed.waiving(EXPIRED),
            IndexTrust::HashOnly,
            IndexTrust::HashOnly.waiving(EXPIRED),
            IndexTrust::None,
        ];
        assert!(order.is_sorted() && order.iter().max() == Some(&IndexTrust::None));
    }

    #[test]
    fn of_two_indexes_all_that_either_waives_is_waived() {
        let dateless = Waived { is_pinned: true, date: true, ..Waived::default() };
        let both = dateless.or(EXPIRED);
        assert_eq!(both.words().collect::<Vec<_>>(), ["date", "valid-until"]);
        assert!(!both.is_pinned);
        assert!(dateless.or(Waived::default()).is_pinned);
    }

    #[test]
    fn bytes_of_trust_are_kept() {
        let bytes = |trust: IndexTrust| postcard::to_allocvec(&trust).unwrap();
        let plain = [
            IndexTrust::Signed,
            IndexTrust::PackageSignature,
            IndexTrust::HashOnly,
            IndexTrust::None,
        ];
        for (number, trust) in (0..).zip(plain) {
            assert_eq!(bytes(trust), [number]);
        }
        assert_eq!(bytes(IndexTrust::Signed.waiving(EXPIRED)), [4, 0, 0, 1, 0]);
        assert_eq!(bytes(IndexTrust::HashOnly.waiving(EXPIRED)), [5, 0, 0, 1, 0]);
    }
}
