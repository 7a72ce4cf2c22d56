//! What a predicate says of the index that named the artifacts.

use serde::{Deserialize, Serialize};

use crate::protocol::{IndexTrust, Sha256, Waived};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Index {
    pub trust: IndexWord,
    pub sha256: Option<Sha256>,
    /// Rules that the index breaks. Absent in `v1` and `v2`, there and not empty in `v3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<WaivedRecord>,
}

/// Rules that the profile waives, or that the index cannot be held to.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct WaivedRecord {
    /// In this order, each at most once.
    pub rules: Vec<Rule>,
    /// Whether the profile names the digest of the index.
    pub pinned: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rule {
    Date,
    Suite,
    ValidUntil,
}

impl Index {
    pub(super) fn new(trust: IndexTrust, sha256: Option<Sha256>) -> Self {
        let waived = trust.waived();
        let rules = [
            (waived.date, Rule::Date),
            (waived.suite, Rule::Suite),
            (waived.valid_until, Rule::ValidUntil),
        ];
        let rules: Vec<Rule> =
            rules.into_iter().filter(|(is_it, _)| *is_it).map(|(_, rule)| rule).collect();
        let record = WaivedRecord { rules, pinned: waived.is_pinned };
        let trust = trust.plain().into();
        Self { trust, sha256, waived: waived.is_any().then_some(record) }
    }

    /// False when rules are waived in a form that is never written.
    pub(super) fn is_as_written(&self) -> bool {
        let Some(WaivedRecord { rules, .. }) = &self.waived else { return true };
        let is_sorted = rules.windows(2).all(|pair| pair[0] < pair[1]);
        !rules.is_empty() && is_sorted && self.trust() != self.trust.into()
    }

    pub(super) fn trust(&self) -> IndexTrust {
        let plain = IndexTrust::from(self.trust);
        let Some(WaivedRecord { rules, pinned }) = &self.waived else { return plain };
        plain.waiving(Waived {
            is_pinned: *pinned,
            date: rules.contains(&Rule::Date),
            valid_until: rules.contains(&Rule::ValidUntil),
            suite: rules.contains(&Rule::Suite),
        })
    }
}

/// Without what is waived, which stands beside it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum IndexWord {
    #[serde(rename = "signed")]
    Signed,
    #[serde(rename = "package-signature")]
    PackageSignature,
    #[serde(rename = "hash-only")]
    HashOnly,
    #[serde(rename = "none")]
    None,
}

impl From<IndexTrust> for IndexWord {
    fn from(trust: IndexTrust) -> Self {
        match trust {
            IndexTrust::Signed | IndexTrust::SignedWaiving(_) => Self::Signed,
            IndexTrust::PackageSignature => Self::PackageSignature,
            IndexTrust::HashOnly | IndexTrust::HashOnlyWaiving(_) => Self::HashOnly,
            IndexTrust::None => Self::None,
        }
    }
}

impl From<IndexWord> for IndexTrust {
    fn from(word: IndexWord) -> Self {
        match word {
            IndexWord::Signed => Self::Signed,
            IndexWord::PackageSignature => Self::PackageSignature,
            IndexWord::HashOnly => Self::HashOnly,
            IndexWord::None => Self::None,
        }
    }
}
