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

impl core::fmt::Display for Verdict {
    /// `reproduced`, `differs`, `missing`: as it is serialized in readable formats.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Reproduced => "reproduced",
            Self::Differs => "differs",
            Self::Missing => "missing",
        })
    }
}
