use core::fmt;
use core::ops::Range;
use std::path::PathBuf;

use super::gather::KeyPath;
use super::keys::tables;
use super::plain::plain;

/// A configuration that cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or may not be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was read, and is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// What is wrong with a file: at least one problem, in order of place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The file.
    pub path: PathBuf,
    /// Never empty.
    pub problems: Vec<Problem>,
    /// What would be warned about if nothing were wrong.
    pub warnings: Vec<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `None` where something is missing from the file as a whole.
    pub place: Option<Place>,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line; the value of a secret is left out.
    pub text: String,
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    /// The first problem with its line, the others by place, then the warnings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\nand ")?;
            }
            write!(f, "{}", self.path.display())?;
            if let Some(place) = &problem.place {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            write!(f, ": {}", problem.message)?;
            let Some(place) = problem.place.as_ref().filter(|_| n == 0) else { continue };
            let (margin, indent) = (" ".repeat(place.line.to_string().len()), place.column - 1);
            write!(f, "\n {} | {}\n {margin} | {:indent$}^", place.line, place.text, "")?;
        }
        self.warnings.iter().try_for_each(|warning| write!(f, "\nbesides, {warning}"))
    }
}

/// Collects what is wrong with one text.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    text: &'a str,
    found: Vec<(usize, Problem)>,
    /// Keys that were left out when the text was read.
    left_out: Vec<KeyPath>,
}

impl<'a> Problems<'a> {
    /// None yet.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new(), left_out: Vec::new() }
    }

    /// Something wrong at a place; `None`: with the file as a whole.
    pub(super) fn add(&mut self, span: Option<Range<usize>>, message: impl Into<String>) {
        let place = span.as_ref().map(|span| place(self.text, span.start));
        let (at, message) = (span.map_or(0, |span| span.start), message.into());
        if !self.is_left_out(&message) {
            self.found.push((at, Problem { place, message }));
        }
    }

    /// As [`Self::add`], where `needle` next stands after `from`; at `from` if nowhere.
    pub(super) fn add_near(&mut self, from: usize, needle: &str, message: impl Into<String>) {
        let at = self.text.get(from..).and_then(|rest| rest.find(needle)).unwrap_or(0);
        self.add(Some(from + at..from + at), message);
    }

    /// Adds what the reader of TOML said of its grammar.
    pub(super) fn add_syntax(&mut self, error: &toml::de::Error) {
        self.add(error.span(), plain(error.message(), ""));
    }

    /// Adds what the reader said of the value of a key, in words of this file.
    pub(super) fn add_value(&mut self, error: &toml::de::Error, path: &[String]) {
        let span = error.span();
        let Some(rest) = error.message().strip_prefix("unknown field ") else {
            let written = span.clone().and_then(|span| self.text.get(span)).unwrap_or_default();
            let message = match path.last() {
                // What makes a signup secret would make no invitation.
                Some(key) if key == "invitation" && error.message().contains("openssl") => {
                    INVITATION.to_owned()
                }
                _ => plain(error.message(), written),
            };
            let key = path.last().filter(|key| !message.contains(&format!("`{key}`")));
            let key = key.map_or_else(String::new, |key| format!("`{key}`: "));
            return self.add(span, format!("{key}{message}"));
        };
        let key = rest.split('`').nth(1).unwrap_or_default();
        if let Some((_, instead)) = RETIRED.iter().find(|(retired, _)| *retired == key) {
            return self.add(span, format!("unknown key `{key}`: {instead}"));
        }
        let tables = tables();
        let elsewhere = tables.iter().filter(|(_, keys)| keys.contains(&key));
        let elsewhere: Vec<&str> = elsewhere.map(|(table, _)| table.as_str()).collect();
        let own = path.first().map(|own| [format!("[{own}]"), format!("[{own}.\"NAME\"]")]);
        let is_inside =
            own.is_some_and(|own| elsewhere.iter().any(|table| own.contains(&(*table).into())));
        if elsewhere.is_empty() || is_inside {
            self.add(span, format!("unknown key {rest}"));
        } else {
            let tables = elsewhere.join(" or ");
            self.add(span, format!("unknown key `{key}` here: it belongs in {tables}"));
        }
    }

    /// From now on what is said of the keys in `left_out` is not added: they were written, and
    /// what is wrong with them was.
    pub(super) fn leave_out(&mut self, left_out: Vec<KeyPath>) {
        self.left_out = left_out;
    }

    fn is_left_out(&self, message: &str) -> bool {
        self.left_out.iter().any(|path| {
            let Some((key, above)) = path.split_last() else { return false };
            let named = [format!("`{key}`"), format!("`{key} =")];
            // One profile's key says nothing about another profile.
            let profile = above.get(1).filter(|_| above[0] == "profile");
            let is_other = message.contains("profile `")
                && profile.is_some_and(|name| !message.contains(&format!("profile `{name}`")));
            !is_other && named.iter().any(|named| message.contains(named))
        })
    }

    /// Ends well if there is nothing wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn finish(mut self, path: PathBuf, warnings: &[String]) -> Result<(), Invalid> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(at, _)| *at);
        Err(Invalid {
            path,
            problems: self.found.into_iter().map(|(_, problem)| problem).collect(),
            warnings: warnings.to_vec(),
        })
    }
}

/// The place of the byte `at`.
fn place(text: &str, at: usize) -> Place {
    let at = at.min(text.len());
    let before = &text.as_bytes()[..at];
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let whole = text[start..].lines().next().unwrap_or_default();
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    let shown = match whole.split_once('=') {
        Some((key, _))
            if ["secret", "invitation", "cookie"].iter().any(|word| key.contains(word)) =>
        {
            format!("{key}= …")
        }
        _ => whole.to_owned(),
    };
    let column = column.min(shown.chars().count() + 1);
    Place { line, column, text: shown }
}

/// Said of a token that is too short to be one.
const INVITATION: &str = "this is no invitation: copy the whole line that `rebuilder-ctl worker \
                          invite` printed";

/// Keys of the peer's configuration and of earlier ones, and what to write instead. The peer's
/// older spellings in a profile are understood and do not stand here.
const RETIRED: &[(&str, &str)] = &[
    (
        "bind_addr",
        "workers and ctl connect to `listen` of [coordinator]; HTTP has `bind_addr` in [http]",
    ),
    ("endpoint", "a worker's is `coordinator = \"host:port\"` in [worker]; ctl takes its own"),
    ("endpoints", "ctl takes the coordinator's address on its command line"),
    ("idle_delay", "remove it: work is pushed the moment it is due"),
    ("supported_architectures", "it is `architectures` now"),
    ("build", "`timeout` is `build_secs_max` and `max_bytes` is `log_bytes_max` in [limits]"),
    ("silent", "remove it: follow a log with `rebuilder-ctl`"),
    ("post_body_size_limit", "it is `body_bytes_max` of [http], and counts unpacked bytes too"),
    (
        "transparently_sign_attestations",
        "remove it: the coordinator signs every attestation when it accepts it",
    ),
    ("signing_key", "remove it: the coordinator's key is `coordinator.key` in `data_dir`"),
    ("release", "it is a list: `releases = [\"…\"]`"),
    ("component", "it is a list: `components = [\"…\"]`"),
    ("arch", "it is a list: `architectures = [\"…\"]`"),
    ("mirror", "it is `source`"),
    ("maintainer", "it is a list: `maintainers = [\"…\"]`"),
    ("filter", "write `include` rules, `excludes`, `pkgs` or `maintainers`"),
];
