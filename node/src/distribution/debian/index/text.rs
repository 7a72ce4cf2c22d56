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

#[cfg(test)]
mod tests {
    use super::*;

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
