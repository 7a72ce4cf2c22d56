use std::path::PathBuf;

/// The local path that `url` names: an absolute path as it is, a `file:` URL percent-decoded.
/// `None` for everything else, and for a `file:` URL of another host.
pub fn local_path(url: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;

    if url.starts_with('/') {
        return Some(PathBuf::from(url));
    }
    let rest = url.strip_prefix("file:")?;
    let path = match rest.strip_prefix("//") {
        Some(after) => after.strip_prefix("localhost").unwrap_or(after),
        None => rest,
    };
    if !path.starts_with('/') {
        return None;
    }
    let bytes = percent_decode(path)?;
    (!bytes.contains(&0)).then(|| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

/// `text` with every `%XX` replaced by the byte it names; `None` when a `%` is not followed by two
/// hex digits.
pub fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let mut byte = [0];
            hex::decode_to_slice(after.get(..2)?, &mut byte).ok()?;
            bytes.push(byte[0]);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_paths_are_known_by_their_form() {
        for (url, path) in [
            ("/srv/mirror/x", Some("/srv/mirror/x")),
            ("/srv/a%20b", Some("/srv/a%20b")),
            ("file:///srv/a%20b", Some("/srv/a b")),
            ("file:/srv/x", Some("/srv/x")),
            ("file://localhost/srv/x", Some("/srv/x")),
            ("file://elsewhere/srv/x", None),
            ("file:///srv/a%2", None),
            ("file:///srv/a%00b", None),
            ("srv/x", None),
            ("http://mirror.example.org/x", None),
        ] {
            assert_eq!(local_path(url), path.map(PathBuf::from), "{url}");
        }
    }

    #[test]
    fn percent_signs_need_two_digits() {
        assert_eq!(percent_decode("a%2bb%7E"), Some(b"a+b~".to_vec()));
        assert_eq!(percent_decode("%"), None);
        assert_eq!(percent_decode("%zz"), None);
    }
}
