use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use rebuilder_actors::domain::results::listing::{NameIs, Which};

use super::answer::Failure;

/// What stands behind the `?`, field by field. Unknown fields are ignored, as the peer does; one
/// that is given twice has no meaning.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(BTreeMap<String, String>);

/// Which part of a list, in which order. Bounds are places in ascending order, whatever the
/// direction, as the peer has it: who pages downwards goes on before the last row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paging {
    /// Rows at most; never 0.
    pub(super) limit: usize,
    /// Only rows behind the one with this number.
    pub(super) after: Option<i32>,
    /// Only rows before the one with this number.
    pub(super) before: Option<i32>,
    /// The column; `None`: the number.
    pub(super) sort: Option<String>,
    pub(super) descending: bool,
}

impl Paging {
    /// As much as one answer may have, by number.
    pub(super) fn all() -> Self {
        Self { limit: ROWS_MAX, after: None, before: None, sort: None, descending: false }
    }
}

/// Rows of an answer, unless fewer are asked for; 0 and less ask for all, which are never more.
pub(super) const ROWS_MAX: usize = 10_000;
/// Rows of an answer where nothing is said.
const LIMIT: usize = 1_000;

/// Bytes of a query that are read: filters are short.
const BYTES_MAX: usize = 8 << 10;
/// Releases that one question names.
const RELEASES_MAX: usize = 64;

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::new(parts.uri.query().unwrap_or_default())
    }
}

impl Asked {
    fn new(query: &str) -> Result<Self, Failure> {
        if query.len() > BYTES_MAX {
            return Err(unread("longer than 8,192 bytes"));
        }
        let mut fields = BTreeMap::new();
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(query).map_err(|error| unread(&error.to_string()))?;
        for (name, value) in pairs {
            if fields.insert(name.clone(), value).is_some() {
                return Err(unread(&format!("duplicate field `{name}`")));
            }
        }
        Ok(Self(fields))
    }

    /// Refuses what is none of these fields, and those that are empty.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Failure> {
        for (name, value) in &self.0 {
            if !names.contains(&name.as_str()) {
                let names = names.join(", ");
                return Err(unread(&format!("unknown field `{name}`: one of {names}")));
            }
            if value.is_empty() {
                return Err(unread(&format!("`{name}` is empty")));
            }
        }
        Ok(())
    }

    /// A field as it is; `None`: it is not given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The first of several names of one field that is given, as its own text.
    fn owned(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name)).map(str::to_owned)
    }

    /// A field that is a whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i32>, Failure> {
        let number = self.text(name).map(|text| {
            text.parse().map_err(|_| unread(&format!("invalid value of `{name}`: {text:?}")))
        });
        number.transpose()
    }

    /// A field that is one of these words.
    pub(super) fn one_of<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            unread(&format!("unknown {name} {text:?}: one of {}", words.join(", ")))
        })
    }

    /// Which part of a list, in which order.
    pub(super) fn paging(&self) -> Result<Paging, Failure> {
        let limit = match self.number("limit")? {
            None => LIMIT,
            Some(limit) => {
                usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(ROWS_MAX)
            }
        };
        let directions = [("Ascending", false), ("Descending", true)];
        Ok(Paging {
            limit: limit.min(ROWS_MAX),
            after: self.number("after")?,
            before: self.number("before")?,
            sort: self.owned(&["sort"]),
            descending: self.one_of("direction", &directions)?.unwrap_or(false),
        })
    }

    /// Which packages; `None`: none can match, as nothing unseen is listed.
    pub(super) fn which(&self) -> Result<Option<Which>, Failure> {
        let seen = self.one_of("seen_only", &[("true", true), ("false", false)])?;
        if seen == Some(false) {
            // The peer answers with what no sync named any more. We list what syncs name.
            return Ok(None);
        }
        let releases: Vec<String> = self
            .text("release")
            .map(|list| list.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        if releases.len() > RELEASES_MAX {
            return Err(unread("more than 64 releases"));
        }
        type Kind = fn(String) -> NameIs;
        let kinds: [(&str, Kind); 3] = [
            ("exact", NameIs::Exactly),
            ("starts_with", NameIs::Beginning),
            ("contains", NameIs::Containing),
        ];
        let kind = self.one_of("search_type", &kinds)?.unwrap_or(NameIs::Exactly);
        Ok(Some(Which {
            distribution: self.owned(&["distribution"]),
            releases,
            component: self.owned(&["component"]),
            architecture: self.owned(&["architecture"]),
            name: self.owned(&["name"]).map(kind),
            version: self.owned(&["version"]),
            source: self.owned(&["source_name"]),
        }))
    }
}

fn unread(why: &str) -> Failure {
    Failure::Asked(format!("Query deserialize error: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        match Asked::new(query).and_then(|asked| {
            asked.number("limit")?;
            asked.which()
        }) {
            Err(Failure::Asked(text)) => text,
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn a_question_is_read_as_the_peer_reads_it() {
        let asked = Asked::new("name=lib%2B%2B&release=a,b&unknown=1&version=1%3A2+x").unwrap();
        let which = asked.which().unwrap().unwrap();
        assert_eq!(which.name, Some(NameIs::Exactly("lib++".into())));
        assert_eq!(which.releases, ["a", "b"]);
        assert_eq!(which.version.as_deref(), Some("1:2 x"));
        let begins = Asked::new("name=a&search_type=starts_with").unwrap().which().unwrap();
        assert_eq!(begins.unwrap().name, Some(NameIs::Beginning("a".into())));
        let empty = Asked::new("distribution=").unwrap().which().unwrap().unwrap();
        assert_eq!(empty.distribution.as_deref(), Some(""), "nothing is called so");
        assert_eq!(Asked::new("").unwrap().which().unwrap(), Some(Which::default()));
        assert_eq!(Asked::new("seen_only=false").unwrap().which().unwrap(), None);
    }

    #[test]
    fn an_order_takes_only_what_it_knows() {
        let only = |query: &str| match Asked::new(query).unwrap().only(&["name", "release"]) {
            Ok(()) => String::new(),
            Err(Failure::Asked(text)) => text,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(only("name=a&release=b"), "");
        assert!(only("nmae=a").contains("`nmae`"));
        assert!(only("name=&search_type=contains").contains("empty"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert!(refused("limit=ten").contains("`limit`: \"ten\""));
        assert!(refused("limit=99999999999").contains("`limit`"));
        assert!(refused("name=a&name=b").contains("duplicate field `name`"));
        assert!(refused("search_type=regex").contains("exact, starts_with, contains"));
        assert!(refused("seen_only=1").contains("true, false"));
        assert!(refused(&format!("name={}", "a".repeat(9_000))).contains("8,192"));
        assert!(refused(&format!("release={}", ",".repeat(64))).contains("64 releases"));
    }
}
