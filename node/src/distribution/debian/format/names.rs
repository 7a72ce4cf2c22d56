//! Names as Debian policy allows them: everything that comes from outside passes here before it
//! reaches a command line, a path or a configuration file.

/// A text that is not what its place allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not allowed")]
pub struct InvalidName {
    /// What it should have been.
    pub what: &'static str,
    /// The text, cut to 80 characters.
    pub text: String,
}

/// A binary or source package name: `[a-z0-9][a-z0-9+.-]+`, at most 128 bytes.
pub(crate) fn package(text: &str) -> Result<&str, InvalidName> {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = text.len() >= 2
        && text.len() <= NAME_BYTES_MAX
        && lower(text.as_bytes()[0])
        && text.bytes().all(|b| lower(b) || matches!(b, b'+' | b'.' | b'-'));
    when(fits, "package name", text)
}

/// A version: begins with a digit or letter, then `[A-Za-z0-9.+~:-]`, at most 128 bytes.
pub(crate) fn version(text: &str) -> Result<&str, InvalidName> {
    let fits = text.len() <= NAME_BYTES_MAX
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~' | b':' | b'-'));
    when(fits, "version", text)
}

/// An architecture: `[a-z0-9-]`, at most 32 bytes.
pub(crate) fn architecture(text: &str) -> Result<&str, InvalidName> {
    let fits = !text.is_empty()
        && text.len() <= 32
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    when(fits, "architecture", text)
}

/// The name of a file in an archive: one path segment that no shell or option parser takes for
/// something else, at most 255 bytes.
pub(crate) fn file(text: &str) -> Result<&str, InvalidName> {
    let fits = text.len() <= 255
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~' | b'_' | b':' | b'%' | b'-')
        });
    when(fits, "file name", text)
}

/// An absolute path in which a build may have run: below one of [`BUILD_PREFIXES`], plain
/// segments, no `.` or `..`, at most 512 bytes and 16 segments; at least one segment below the
/// prefix, since outputs go beside the folder.
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
        && BUILD_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
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

fn when<'a>(fits: bool, what: &'static str, text: &'a str) -> Result<&'a str, InvalidName> {
    if fits { Ok(text) } else { Err(InvalidName { what, text: text.chars().take(80).collect() }) }
}

/// Longest name or version. The longest of Debian have about 80 bytes.
const NAME_BYTES_MAX: usize = 128;

/// Where a recorded build may have run. None of them holds anything of the system, so that making
/// the folder and giving it to the builder changes nothing else.
const BUILD_PREFIXES: [&str; 9] =
    ["/build/", "/builds/", "/buildd/", "/home/", "/mnt/", "/opt/", "/srv/", "/usr/src/", "/data/"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["hello", "libstdc++6", "g++-12", "0ad", "libc6.1-dev"] {
            assert_eq!(package(name), Ok(name));
        }
        for text in ["1.0-1", "1:2.66-4+deb12u3+b1", "0~20171227-0.3", "2.0207+dfsg+really"] {
            assert_eq!(version(text), Ok(text));
        }
        assert!(build_path("/build/reproducible-path/hello-2.10").is_ok());
        assert!(build_path("/build/hostname-6LZmEb/hostname-3.23").is_ok());
        assert!(archive_url("http://mirror.example.org/debian").is_ok());
        assert!(suite("bookworm-updates").is_ok() && suite("./").is_ok() && suite("pool/").is_ok());
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_refused() {
        for name in ["", "a", "-y", "A", "a b", "a/b", "a\nb", "ä", "a;b", "a=1", "../a"] {
            assert!(package(name).is_err(), "{name:?}");
        }
        for text in ["", "-1", "1 2", "1\n2", "$(id)", "1/2", "1=2", "1,2"] {
            assert!(version(text).is_err(), "{text:?}");
        }
        for text in ["", ".", "..", "a/b", ".a", "-a", "a b", "a\0"] {
            assert!(file(text).is_err(), "{text:?}");
        }
        for text in [
            "build/x",
            "/",
            "/build",
            "/build/",
            "/build/../etc/x",
            "/build//x",
            "/etc/x",
            "/usr/lib/x",
            "/build/a b",
            "/build/$(x)",
            "/build/a\nb",
            "/build/./x",
            "/proc/x",
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
