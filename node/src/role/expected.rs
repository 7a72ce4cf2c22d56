use std::collections::BTreeMap;
use std::path::Path;

use rebuilder_actors::protocol::wire::v1::ctl::PackageStatus;

/// What each source package is expected to give, with the reason where it is not `reproduced`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    results: BTreeMap<String, (String, Option<String>)>,
}

impl Expected {
    /// Reads lines `SOURCE RESULT # REASON`; empty ones and comments are skipped.
    ///
    /// # Errors
    /// The file cannot be read, or a line is of another form: named by file and line.
    pub fn load(path: &Path) -> Result<Self, String> {
        let at = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {at}: {e}"))?;
        Self::parse(&text).map_err(|(line, error)| format!("{at}:{line}: {error}"))
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut results = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let (rule, reason) = match line.split_once('#') {
                Some((rule, reason)) => (rule, Some(reason.trim().to_owned())),
                None => (line, None),
            };
            let mut words = rule.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (None, ..) => {}
                (Some(source), Some(result), None)
                    if PackageStatus::ALL.iter().any(|status| status.word() == result) =>
                {
                    results.insert(source.to_owned(), (result.to_owned(), reason));
                }
                _ => {
                    let results = PackageStatus::ALL.map(PackageStatus::word).join(", ");
                    let form = format!("expected `SOURCE RESULT # REASON`, with one of {results}");
                    return Err((number + 1, form));
                }
            }
        }
        Ok(Self { results })
    }

    /// A note for the table: as expected and why, or that something else was expected. `None`:
    /// nothing is expected of this source, or it simply is as expected.
    pub(super) fn note(&self, source: &str, result: &str) -> Option<String> {
        let (expected, reason) = self.results.get(source)?;
        if expected == result {
            return reason.as_ref().map(|reason| format!("as expected: {reason}"));
        }
        Some(format!("NOT AS EXPECTED ({expected}): the mirror is live"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_compared_and_bad_lines_are_named() {
        let expected = Expected::parse("ucf reproduced\n\ncowsay differs # debhelper\n").unwrap();
        assert_eq!(expected.note("ucf", "reproduced"), None);
        assert_eq!(expected.note("cowsay", "differs").unwrap(), "as expected: debhelper");
        assert!(expected.note("ucf", "differs").unwrap().starts_with("NOT AS EXPECTED (repr"));
        assert_eq!(expected.note("other", "differs"), None);
        assert_eq!(Expected::parse("ucf reproduced\nucf GOOD\n").unwrap_err().0, 2);
    }
}
