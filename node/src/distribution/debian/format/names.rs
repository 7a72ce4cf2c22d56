//! Names as Debian policy allows them: everything that comes from outside passes here before it
//! reaches a command line, a path or a configuration file.

use std::borrow::Cow;

/// A text that is not what its place allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not allowed")]
pub struct InvalidName {
    /// What it should have been.
    pub what: &'static str,
    /// The text, cut to 80 characters.
    pub text: String,
}

/// A binary or source package name: begins with a letter or digit, then `[A-Za-z0-9+._-]`, at most
/// 128 bytes. dpkg's rule, which is wider than that of policy: capitals and `_` are of other
/// vendors' archives.
pub(crate) fn package(text: &str) -> Result<&str, InvalidName> {
    when(word(text, NAME_BYTES_MAX, b"+-._"), "package name", text)
}

/// A version: `[epoch:]upstream[-revision]` of `[A-Za-z0-9.+~:-]`, at most 128 bytes. As dpkg has
/// it, but for an upstream version that begins with a letter, of which dpkg only warns.
pub(crate) fn version(text: &str) -> Result<&str, InvalidName> {
    let epoch_fits = match text.split_once(':') {
        // dpkg keeps epochs in an `int`.
        Some((epoch, rest)) => {
            let is_number = epoch.bytes().all(|byte| byte.is_ascii_digit());
            is_number && epoch.parse::<i32>().is_ok() && word(rest, NAME_BYTES_MAX, b"+-.~:")
        }
        None => true,
    };
    when(epoch_fits && word(text, NAME_BYTES_MAX, b"+-.~:"), "version", text)
}

/// An architecture: begins with a letter or digit, then `[A-Za-z0-9-]`, at most 32 bytes.
pub(crate) fn architecture(text: &str) -> Result<&str, InvalidName> {
    when(word(text, ARCHITECTURE_BYTES_MAX, b"-"), "architecture", text)
}

/// `Source: name`, `Source: name (version)`, or none: then the package is its own source. Answers
/// name and version.
pub(crate) fn source<'a>(
    field: Option<&'a str>,
    own_name: &'a str,
    own_version: &'a str,
) -> Result<(&'a str, &'a str), InvalidName> {
    let Some(text) = field else { return Ok((package(own_name)?, version(own_version)?)) };
    let (name, rest) = match text.find([' ', '\t', '(']) {
        Some(at) => (&text[..at], text[at..].trim()),
        None => (text, ""),
    };
    let of = match rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => inner.trim(),
        None if rest.is_empty() => own_version,
        None => return when(false, "source", text).map(|text| (text, text)),
    };
    Ok((package(name)?, version(of)?))
}

/// The name of a file that tools of Debian are given: one path segment that no shell or option
/// parser takes for something else, at most 255 bytes.
pub(crate) fn file(text: &str) -> Result<&str, InvalidName> {
    when(word(text, FILE_BYTES_MAX, b".+~_:%-"), "file name", text)
}

/// A path below an archive's base, as an index names it, without what means nothing: apt joins base
/// and path, so `./pool/x` and `/pool/x` are `pool/x`. At most 1024 bytes.
pub(crate) fn path(text: &str) -> Result<Cow<'_, str>, InvalidName> {
    let plain = text.trim_start_matches('/');
    let plain: Cow<'_, str> = if plain.split('/').any(|part| part == ".") {
        let parts: Vec<_> = plain.split('/').filter(|part| *part != ".").collect();
        parts.join("/").trim_start_matches('/').to_owned().into()
    } else {
        plain.into()
    };
    let last = text.rsplit('/').next().unwrap_or_default();
    let fits = text.len() <= PATH_BYTES_MAX
        && !text.chars().any(char::is_control)
        && !plain.split('/').any(|part| part == "..")
        && !matches!(last, "" | ".")
        && last.len() <= FILE_BYTES_MAX;
    when(fits, "path", text)?;
    Ok(plain)
}

/// An absolute path in which a build may have run: plain segments, no `.` or `..`, at most 512
/// bytes and 16 segments, not in one of [`KERNEL_FOLDERS`], where no folder can be made. Whether
/// something else lies there is known only where the environment is.
pub(crate) fn build_path(text: &str) -> Result<&str, InvalidName> {
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|b| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'.' | b'+' | b'~' | b'_' | b'-' | b'=' | b'@' | b',')
            })
    };
    let fits = text.len() <= 512
        && text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').count() <= 16 && rest.split('/').all(plain))
        && !KERNEL_FOLDERS.iter().any(|folder| text.split('/').nth(1) == Some(*folder));
    when(fits, "build path", text)
}

/// The base of an archive: an `http:`, `https:` or `file:` URL without white space, brackets,
/// quotes or control characters, so that it is one word of a sources line.
pub(crate) fn archive_url(text: &str) -> Result<&str, InvalidName> {
    let fits = text.len() <= 1024
        && ["http://", "https://", "file:/"].iter().any(|scheme| text.starts_with(scheme))
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'.' | b'+' | b'~' | b'_' | b'-' | b':' | b'/' | b'%' | b'@' | b'=' | b','
                )
        });
    when(fits, "archive URL", text)
}

/// A suite or component: path segments of `[A-Za-z0-9._+~-]`, no `..`; a trailing `/` marks a flat
/// repository.
pub(crate) fn suite(text: &str) -> Result<&str, InvalidName> {
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let fits = text.len() <= NAME_BYTES_MAX
        && !text.starts_with(['-', '/'])
        && trimmed.split('/').all(|segment| {
            !segment.is_empty()
                && segment != ".."
                && segment.bytes().all(|b| {
                    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'~' | b'-')
                })
        });
    when(fits, "suite or component", text)
}

/// Begins with a letter or digit; then these, and `others`.
fn word(text: &str, bytes_max: usize, others: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || others.contains(byte);
    text.len() <= bytes_max
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.as_bytes().iter().all(fits)
}

fn when<'a>(fits: bool, what: &'static str, text: &'a str) -> Result<&'a str, InvalidName> {
    if fits { Ok(text) } else { Err(InvalidName { what, text: text.chars().take(80).collect() }) }
}

/// Longest name or version. The longest of Debian have about 80 bytes.
const NAME_BYTES_MAX: usize = 128;

/// Longest architecture. The longest of dpkg's table has 22 bytes.
const ARCHITECTURE_BYTES_MAX: usize = 32;

/// Longest name of a file that Linux has.
const FILE_BYTES_MAX: usize = 255;

/// Longest path below an archive's base: longer than any pool has, short enough for a URL.
const PATH_BYTES_MAX: usize = 1024;

/// File systems of the kernel.
const KERNEL_FOLDERS: [&str; 3] = ["proc", "sys", "dev"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["hello", "libstdc++6", "g++-12", "0ad", "libc6.1-dev", "Odd_Name", "r"] {
            assert_eq!(package(name), Ok(name));
        }
        for text in ["1.0-1", "1:2.66-4+deb12u3+b1", "0~20171227-0.3", "v1", "1:2:3-", "0:1"] {
            assert_eq!(version(text), Ok(text));
        }
        assert!(build_path("/build/reproducible-path/hello-2.10").is_ok());
        assert!(build_path("/build/hostname-6LZmEb/hostname-3.23").is_ok());
        for path in ["/tmp/build", "/root", "/__w", "/__w/x/x", "/var/lib/jenkins/ws/x@2", "/x"] {
            assert_eq!(build_path(path), Ok(path));
        }
        assert!(archive_url("http://mirror.example.org/debian").is_ok());
        assert!(suite("bookworm-updates").is_ok() && suite("./").is_ok() && suite("pool/").is_ok());
    }

    #[test]
    fn sources_are_named_in_three_ways() {
        for (field, expected) in [
            (None, ("a", "1")),
            (Some("b"), ("b", "1")),
            (Some("b (2:3)"), ("b", "2:3")),
            (Some("b(2:3)"), ("b", "2:3")),
            (Some("b\t( 2:3 )"), ("b", "2:3")),
        ] {
            assert_eq!(source(field, "a", "1"), Ok(expected), "{field:?}");
        }
        for field in ["", "b 2", "b (2", "b ()", "b (2) (3)", "b (2)x", "../b", "(2)", "b (1 ; rm)"]
        {
            assert!(source(Some(field), "a", "1").is_err(), "{field:?}");
        }
    }

    #[test]
    fn paths_are_what_apt_makes_of_them() {
        for (text, expected) in [
            ("pool/main/0/0ad/0ad_0.0.26-3_amd64.deb", "pool/main/0/0ad/0ad_0.0.26-3_amd64.deb"),
            ("./pool/x.deb", "pool/x.deb"),
            ("/pool/x.deb", "pool/x.deb"),
            ("//pool/x.deb", "pool/x.deb"),
            ("/.//./pool/./x.deb", "pool/x.deb"),
            ("././x.deb", "x.deb"),
            ("pool//x.deb", "pool//x.deb"),
            ("pool/x/..y/a%3ab.deb", "pool/x/..y/a%3ab.deb"),
        ] {
            assert_eq!(path(text).as_deref(), Ok(expected), "{text:?}");
        }
        for text in [
            "", "/", ".", "..", "./", "a/", "a/.", "a/../b", "../a", "./../a", "a\nb", "a\0b",
            "a\u{85}",
        ] {
            assert!(path(text).is_err(), "{text:?}");
        }
        assert!(path(&"a".repeat(256)).is_err() && path(&"a/".repeat(513)).is_err());
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_refused() {
        for name in ["", "-y", "_a", "a b", "a/b", "a\nb", "ä", "a;b", "a=1", "../a"] {
            assert!(package(name).is_err(), "{name:?}");
        }
        for text in [
            "",
            "-1",
            "1 2",
            "1\n2",
            "$(id)",
            "1/2",
            "1=2",
            "1,2",
            "1_2",
            ":1",
            "a:1",
            "1:",
            "1:-1",
            "99999999999:1",
            "-1:1",
            "+1:1",
            &"1".repeat(129),
        ] {
            assert!(version(text).is_err(), "{text:?}");
        }
        for text in ["", ".", "..", "a/b", ".a", "-a", "a b", "a\0"] {
            assert!(file(text).is_err(), "{text:?}");
        }
        for text in [
            "build/x",
            "/",
            "/build/",
            "/build/../etc/x",
            "/build//x",
            "/build/a b",
            "/build/$(x)",
            "/build/a\nb",
            "/build/./x",
            "/proc/x",
            "/proc",
            "/sys/x",
            "/dev/shm/x",
        ] {
            assert!(build_path(text).is_err(), "{text:?}");
        }
        for text in ["ftp://x", "http://x y", "http://x]", "http://x\ndeb", "x", "http://x#y"] {
            assert!(archive_url(text).is_err(), "{text:?}");
        }
        for text in ["", "/", "-x", "a b", "../x", "a/../b", "a\n", "[trusted=yes]"] {
            assert!(suite(text).is_err(), "{text:?}");
        }
    }

    /// What a shell or an options parser takes for something else.
    const ODD: &str = "'\"`$;&|<>()[]{}*?#!\\";

    proptest! {
        #[test]
        fn accepted_words_are_single_words(text in "\\PC{0,40}|[ -~\\n]{0,40}") {
            for check in [package, version, architecture, file, build_path, archive_url, suite] {
                if check(&text).is_ok() {
                    prop_assert!(!text.starts_with('-'));
                    let is_odd = |c: char| c.is_whitespace() || c.is_control() || ODD.contains(c);
                    prop_assert!(!text.contains(is_odd));
                    prop_assert!(!text.split('/').any(|segment| segment == ".."));
                }
            }
        }
    }
}
