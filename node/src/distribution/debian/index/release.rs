use std::collections::BTreeMap;

use rebuilder_actors::port::IndexError;
use rebuilder_actors::protocol::{Sha256, Sha512, UtcMillis, Waived};

use super::packages::unreadable;
use super::plan::SuitePlan;
use crate::distribution::debian::format::control::{Stanza, Unreadable, Value};
use crate::distribution::debian::format::{checksum_by, names};

/// A parsed `Release` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReleaseFile {
    pub(super) origin: Option<String>,
    pub(super) suite: Option<String>,
    pub(super) codename: Option<String>,
    /// `None`: it has no date, and nothing tells whether it is the newest.
    pub(super) date: Option<UtcMillis>,
    pub(super) valid_until: Option<UtcMillis>,
    pub(super) by_hash: bool,
    /// `Packages` of an architecture has the packages of `all` too.
    pub(super) all_is_within: bool,
    pub(super) architectures: Vec<String>,
    /// As the file says them: some archives write `updates/main`.
    pub(super) components: Vec<String>,
    /// By path below the release's folder.
    pub(super) files: BTreeMap<String, IndexFile>,
}

/// One file that a release vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexFile {
    pub(super) size: u64,
    pub(super) digest: IndexDigest,
}

/// By which a release names its files. SHA-256 where it has both, which every release had for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexDigest {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl IndexDigest {
    fn sha256(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::Sha256)
    }

    fn sha512(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::Sha512)
    }

    /// As the field and the folders below `by-hash` are called.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA256",
            Self::Sha512(_) => "SHA512",
        }
    }
}

impl core::fmt::Display for IndexDigest {
    /// In hex digits.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(f),
            Self::Sha512(digest) => digest.fmt(f),
        }
    }
}

impl ReleaseFile {
    pub(super) fn parse(text: &[u8], url: &str) -> Result<Self, IndexError> {
        Self::read(&Stanza::first(text)).map_err(|error| unreadable(url, &error))
    }

    fn read(stanza: &Stanza<'_>) -> Result<Self, Unreadable> {
        let [
            origin,
            suite,
            codename,
            date,
            until,
            by_hash,
            no_all,
            architectures,
            components,
            sha256,
            sha512,
        ] = stanza.fields([
            "Origin",
            "Suite",
            "Codename",
            "Date",
            "Valid-Until",
            "Acquire-By-Hash",
            "No-Support-for-Architecture-all",
            "Architectures",
            "Components",
            "SHA256",
            "SHA512",
        ])?;
        let date = stanza.text("Date", date)?;
        let time = |text: &str| {
            parse_date(text).ok_or_else(|| stanza.fault(format!("`{text}` is not a date")))
        };
        let until = stanza.text("Valid-Until", until)?;
        let files = match (stanza.text("SHA256", sha256)?, stanza.text("SHA512", sha512)?) {
            (Some(files), _) => parse_files(files, IndexDigest::sha256, stanza)?,
            (None, Some(files)) => parse_files(files, IndexDigest::sha512, stanza)?,
            (None, None) => return Err(stanza.fault("names no files by SHA256 or SHA512")),
        };
        // For people, or compared with names of the configuration, which are text.
        let shown = |value: Option<Value<'_>>| value.map(|value| value.shown().into_owned());
        let words = |value: Option<Value<'_>>| -> Vec<String> {
            shown(value).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let architectures = words(architectures);
        // apt's rule: what is not announced, and what is said not to be, is not there.
        let all_is_within = shown(no_all).as_deref() == Some("Packages")
            || (!architectures.is_empty() && !architectures.iter().any(|name| name == "all"));
        Ok(Self {
            origin: shown(origin),
            suite: shown(suite),
            codename: shown(codename),
            date: date.map(time).transpose()?,
            valid_until: until.map(time).transpose()?,
            by_hash: shown(by_hash).is_some_and(|value| value.eq_ignore_ascii_case("yes")),
            all_is_within,
            architectures,
            components: words(components),
            files,
        })
    }

    /// Refuses a release that is not of this suite, is expired, or comes from the future; answers
    /// which of these rules are waived for it.
    pub(super) fn check(
        &self,
        url: &str,
        suite: &SuitePlan,
        accept_suite: &[String],
        now: UtcMillis,
    ) -> Result<Waived, IndexError> {
        let refused = |reason| IndexError::Refused { url: url.to_owned(), reason };
        if let Some(date) = self.date.filter(|date| *date > now.plus(FUTURE_MAX)) {
            let reason = format!("its Date {} is in the future", shown(date));
            return Err(refused(format!("{reason}; check the clock of this machine")));
        }
        Ok(Waived {
            is_pinned: suite.pin.is_some(),
            date: self.date.is_none(),
            valid_until: self.check_expiry(url, suite.check_valid_until, now)?,
            // A flat repository has no name that could be asked for: apt compares none either.
            suite: !suite.is_flat() && self.check_suite(url, &suite.suite, accept_suite)?,
        })
    }

    /// True when it calls itself otherwise, or nothing, and that is accepted.
    fn check_suite(
        &self,
        url: &str,
        suite: &str,
        accept_suite: &[String],
    ) -> Result<bool, IndexError> {
        // Old security archives are asked for as `buster/updates` and call themselves `buster`.
        let short = suite.trim_end_matches('/').split('/').next();
        let names = [self.suite.as_deref(), self.codename.as_deref()];
        let mut own = names.iter().flatten().peekable();
        if own.peek().is_none() {
            return Ok(true);
        }
        if names.iter().flatten().any(|&name| name == suite || Some(name) == short) {
            return Ok(false);
        }
        if own.any(|name| accept_suite.iter().any(|accepted| accepted == name)) {
            return Ok(true);
        }
        let [found, codename] = names.map(|name| name.unwrap_or("not named"));
        let reason = format!(
            "it is suite {found}, codename {codename}, not {suite}: if it is the one that is \
             meant, name it in `accept_suite` of the profile"
        );
        Err(IndexError::Refused { url: url.to_owned(), reason })
    }

    /// Refuses a release that is expired: a mirror that stopped, or one that hides the news. True
    /// when it is, and that is not looked at.
    pub(super) fn check_expiry(
        &self,
        url: &str,
        is_checked: bool,
        now: UtcMillis,
    ) -> Result<bool, IndexError> {
        match self.valid_until {
            Some(until) if now > until && is_checked => Err(IndexError::Refused {
                url: url.to_owned(),
                reason: format!(
                    "it expired at {}: for a snapshot or an archived release that is right, and \
                     `check_valid_until = false` of the profile follows it",
                    shown(until)
                ),
            }),
            Some(until) => Ok(now > until),
            None => Ok(false),
        }
    }

    pub(super) fn has_component(&self, component: &str) -> bool {
        let component = component.split('/').next().unwrap_or_default();
        self.components.is_empty()
            || self
                .components
                .iter()
                .any(|known| known.rsplit('/').next().is_some_and(|last| last == component))
    }
}

/// A time as text for people.
pub(super) fn shown(time: UtcMillis) -> String {
    match jiff::Timestamp::from_millisecond(time.0) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{} ms", time.0),
    }
}

fn parse_date(text: &str) -> Option<UtcMillis> {
    let zoned = text.strip_suffix(" UTC").map(|rest| format!("{rest} +0000"));
    jiff::fmt::rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(zoned.as_deref().unwrap_or(text))
        .ok()
        .map(|time| UtcMillis(time.as_millisecond()))
}

fn parse_files(
    text: &str,
    digest: fn(&str) -> Option<IndexDigest>,
    stanza: &Stanza<'_>,
) -> Result<BTreeMap<String, IndexFile>, Unreadable> {
    let mut files = BTreeMap::new();
    for line in text.lines() {
        // Only indexes are read; contents, translations and images would be ten times as many.
        let path = line.split_whitespace().next_back().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        if !name.starts_with("Packages") && !name.starts_with("Sources") {
            continue;
        }
        let listed = checksum_by(digest, line);
        let Some((digest, size, path)) = listed else {
            return Err(stanza.fault(format!("`{line}` is not a digest, a size and a path")));
        };
        let path = names::path(path).map_err(|error| stanza.fault(error.to_string()))?;
        files.insert(path.into_owned(), IndexFile { size, digest });
    }
    Ok(files)
}

/// How far a release's `Date` may be ahead of this machine's clock.
const FUTURE_MAX: core::time::Duration = core::time::Duration::from_secs(24 * 60 * 60);
