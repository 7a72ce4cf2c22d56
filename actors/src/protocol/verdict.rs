use serde::{Deserialize, Serialize};

/// What one attempt says about one artifact.
///
/// Ordered from the best to the worst, so that the maximum over the artifacts of a package is the
/// verdict that blames it most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The rebuilt file equals the published one, bit for bit.
    Reproduced,
    /// The build made the file, with other bytes.
    Differs,
    /// The build succeeded and made no such file.
    Missing,
}

/// The outcome beside the verdicts: the build's own exit status was a failure.
pub const BUILD_FAILED: &str = "build-failed";

impl Verdict {
    /// In the order in which they are counted for people.
    pub const ALL: [Self; 3] = [Self::Reproduced, Self::Differs, Self::Missing];

    /// As it is serialized in readable formats, and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::Differs => "differs",
            Self::Missing => "missing",
        }
    }

    /// `2 reproduced, 1 differs`: how many of each, in the order of [`Verdict::ALL`]; those that
    /// there is none of are left out.
    pub fn counted(counts: [usize; 3]) -> String {
        let parts = counts.into_iter().zip(Self::ALL).filter(|(count, _)| *count > 0);
        let parts: Vec<String> =
            parts.map(|(count, verdict)| format!("{count} {verdict}")).collect();
        parts.join(", ")
    }
}

impl core::fmt::Display for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.word())
    }
}
