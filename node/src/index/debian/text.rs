/// A piece of text in an [`Arena`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    start: u32,
    len: u32,
}

/// Many short texts in one allocation: an index has hundreds of thousands of them.
#[derive(Debug, Default)]
pub(super) struct Arena(String);

impl Arena {
    /// Keeps `text`; `None` when the arena is full (4 GiB).
    pub(super) fn push(&mut self, text: &str) -> Option<Text> {
        let start = u32::try_from(self.0.len()).ok()?;
        let len = u32::try_from(text.len()).ok()?;
        start.checked_add(len)?;
        self.0.push_str(text);
        Some(Text { start, len })
    }

    pub(super) fn get(&self, text: Text) -> &str {
        let start = text.start as usize;
        &self.0[start..start + text.len as usize]
    }
}

/// Checks a path below an archive's base, as an index names it: what is wrong with it, if anything.
pub(super) fn path_fault(path: &str) -> Option<&'static str> {
    if path.len() > PATH_BYTES_MAX {
        Some("is over-long")
    } else if path.chars().any(char::is_control) {
        Some("has control characters")
    } else if path.starts_with('/') {
        Some("is absolute")
    } else if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        Some("has an empty, `.` or `..` segment")
    } else {
        None
    }
}

/// Whether `text` can be a package's name or an architecture.
pub(super) fn is_name(text: &str) -> bool {
    word(text, NAME_BYTES_MAX, b"+-._")
}

/// Whether `text` can be a version.
pub(super) fn is_version(text: &str) -> bool {
    word(text, VERSION_BYTES_MAX, b"+-.~:")
}

fn word(text: &str, bytes_max: usize, others: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || others.contains(byte);
    text.len() <= bytes_max
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.as_bytes().iter().all(fits)
}

/// `{base}/{path}` as a URL: the path's bytes that a URL cannot hold are percent-encoded, `%` too,
/// so that decoding gives the path as the index names it.
pub(super) fn join(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    let mut url = String::with_capacity(base.len() + 1 + path.len());
    url.push_str(base);
    url.push('/');
    encode_into(&mut url, path);
    url
}

/// A base as a URL: an absolute path becomes a `file:` URL.
pub(super) fn base_url(source: &str) -> String {
    let source = source.trim_end_matches('/');
    if source.starts_with('/') {
        let mut url = String::from("file://");
        encode_into(&mut url, source);
        url
    } else {
        source.to_owned()
    }
}

fn encode_into(url: &mut String, path: &str) {
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+:@!$&'()*,;=".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            url.push_str(&hex::encode_upper([byte]));
        }
    }
}

/// Longest path below an archive's base: longer than any pool has, short enough for a URL.
const PATH_BYTES_MAX: usize = 1024;
/// Longest name: a file name has at most 255 bytes, and version and architecture follow.
const NAME_BYTES_MAX: usize = 128;
/// Longest version.
const VERSION_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_told_from_good_ones() {
        assert_eq!(path_fault("pool/main/0/0ad/0ad_0.0.26-3_amd64.deb"), None);
        assert_eq!(path_fault("pool/x/..y/a%3ab.deb"), None);
        for path in ["", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "a\nb", "a\0b", "a\u{85}"] {
            assert!(path_fault(path).is_some(), "{path:?}");
        }
        assert!(path_fault(&"a".repeat(1025)).is_some());
    }

    #[test]
    fn words_are_bounded_and_plain() {
        assert!(is_name("libstdc++6") && is_name("0ad") && is_name("x86_64"));
        assert!(is_version("1:2.0~rc1-3+b1"));
        for text in ["", "-x", "a b", "a/b", "é", "a;b", &"a".repeat(129)] {
            assert!(!is_name(text) && !is_version(text), "{text:?}");
        }
    }

    #[test]
    fn urls_decode_to_the_path_of_the_index() {
        let url = join("http://mirror.example.org/debian/", "pool/a_1%3a2+b1~x_é.deb");
        assert_eq!(url, "http://mirror.example.org/debian/pool/a_1%253a2+b1~x_%C3%A9.deb");
        let last = url.rsplit('/').next().unwrap();
        let decoded = crate::fetch::percent_decode(last).unwrap();
        assert_eq!(decoded, "a_1%3a2+b1~x_é.deb".as_bytes());
        assert_eq!(base_url("/srv/my mirror/"), "file:///srv/my%20mirror");
    }
}
