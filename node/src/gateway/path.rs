//! The path of a request, as the routes know it.

use std::borrow::Cow;

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// What stands before the paths of a coordinator that a proxy serves beside others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prefix {
    /// Anything before `/api/v0/` and `/api/v1/`, and nothing before other paths: a proxy's rule
    /// for `/metrics` must not be passed by as `/x/metrics`.
    #[default]
    Any,
    /// This and no other, also with other paths; without a slash at its end, empty: none. Paths
    /// without it are answered too: most proxies take it away.
    Only(String),
}

/// A path that nobody means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Odd(pub(super) &'static str);

/// Starts of the interfaces that clients look for behind a base URL.
const INTERFACES: [&str; 2] = ["/api/v0", "/api/v1"];

/// `uri` with the path that the routes know: without prefix, repeated slashes and slashes at its
/// end, as the peer reads it, and without an authority.
pub(super) fn routed(uri: &Uri, prefix: &Prefix) -> Result<Uri, Odd> {
    let path = normal(uri.path())?;
    let path = without_prefix(&path, prefix);
    if path == uri.path() && uri.authority().is_none() {
        return Ok(uri.clone());
    }
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let routed = PathAndQuery::try_from(text).map_err(|_| Odd("the path is not one"))?;
    Ok(Uri::from(routed))
}

fn normal(path: &str) -> Result<Cow<'_, str>, Odd> {
    if !path.starts_with('/') {
        return Err(Odd("the path does not begin with a slash"));
    }
    let mut is_normal = path == "/" || !path.ends_with('/');
    for (n, segment) in path.split('/').enumerate() {
        is_normal &= n == 0 || !segment.is_empty() || path == "/";
        check(segment)?;
    }
    if is_normal {
        return Ok(path.into());
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Ok(format!("/{}", segments.join("/")).into())
}

/// Refuses a segment that goes up, ends a text of C, or is not encoded as one.
fn check(segment: &str) -> Result<(), Odd> {
    let mut decoded = [0; 3];
    let mut length = 0;
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| (digit as char).to_digit(16));
            match (digit(), digit()) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err(Odd("the path has a `%` without two hex digits")),
            }
        } else {
            byte
        };
        if byte < b' ' || byte == 0x7f {
            return Err(Odd("the path has a control character"));
        }
        if let Some(place) = decoded.get_mut(length) {
            *place = byte;
            length += 1;
        }
    }
    match &decoded[..length] {
        b"." | b".." => Err(Odd("the path has a segment `.` or `..`")),
        _ => Ok(()),
    }
}

fn without_prefix<'a>(path: &'a str, prefix: &Prefix) -> &'a str {
    match prefix {
        Prefix::Any => {
            let is_start = |at: usize| {
                INTERFACES.iter().any(|start| {
                    let rest = path[at..].strip_prefix(start);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            };
            let start = path.match_indices('/').map(|(at, _)| at).find(|at| is_start(*at));
            start.map_or(path, |at| &path[at..])
        }
        Prefix::Only(prefix) => match path.strip_prefix(prefix.as_str()) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str, prefix: &Prefix) -> Result<String, Odd> {
        routed(&uri.parse().unwrap(), prefix).map(|uri| uri.to_string())
    }

    #[test]
    fn slashes_and_prefixes_are_taken_away() {
        let only = Prefix::Only("/amd64".to_owned());
        let none = Prefix::Only(String::new());
        for (uri, any, with, without) in [
            ("/", "/", "/", "/"),
            ("/?a=/b/", "/?a=/b/", "/?a=/b/", "/?a=/b/"),
            ("/health/", "/health", "/health", "/health"),
            ("//health", "/health", "/health", "/health"),
            ("/api/v1/x/?q=1", "/api/v1/x?q=1", "/api/v1/x?q=1", "/api/v1/x?q=1"),
            ("/amd64/api/v1/x", "/api/v1/x", "/api/v1/x", "/amd64/api/v1/x"),
            ("/amd64//api///v0/", "/api/v0", "/api/v0", "/amd64/api/v0"),
            ("/a/b/api/v1/x", "/api/v1/x", "/a/b/api/v1/x", "/a/b/api/v1/x"),
            ("/api/v1/api/v0/x", "/api/v1/api/v0/x", "/api/v1/api/v0/x", "/api/v1/api/v0/x"),
            ("/x/api/v12/y", "/x/api/v12/y", "/x/api/v12/y", "/x/api/v12/y"),
            ("/amd64/metrics", "/amd64/metrics", "/metrics", "/amd64/metrics"),
            ("/amd64", "/amd64", "/", "/amd64"),
            ("/amd64x/health", "/amd64x/health", "/amd64x/health", "/amd64x/health"),
            ("http://other/api/v1/x?y", "/api/v1/x?y", "/api/v1/x?y", "/api/v1/x?y"),
            (
                "/pkg/libstdc%2B%2B6..x",
                "/pkg/libstdc%2B%2B6..x",
                "/pkg/libstdc%2B%2B6..x",
                "/pkg/libstdc%2B%2B6..x",
            ),
        ] {
            assert_eq!(of(uri, &Prefix::Any).unwrap(), any, "{uri}");
            assert_eq!(of(uri, &only).unwrap(), with, "{uri}");
            assert_eq!(of(uri, &none).unwrap(), without, "{uri}");
        }
    }

    #[test]
    fn odd_paths_are_refused() {
        for uri in [
            "/..",
            "/../health",
            "/a/./b",
            "/a/%2e%2E/b",
            "/.%2e",
            "/%2e/",
            "/a%00",
            "/%0a",
            "/a%",
            "/a%g0",
            "/%7f",
            "*",
        ] {
            assert!(of(uri, &Prefix::Any).is_err(), "{uri}");
        }
        for uri in ["/...", "/a..b/..c", "/%ff", "/a%20b", "/~x"] {
            assert!(of(uri, &Prefix::Any).is_ok(), "{uri}");
        }
    }
}
