use rebuilder_actors::protocol::FaultKind;

use crate::backend::BuildError;
use crate::distribution::debian::format::names;
use crate::environment::Wanted;
use crate::fetch::{local_path, percent_decode};

/// What `apt-get --print-uris` printed, with `Acquire::ForceHash` set. Other lines are left out.
/// The apt of a root may be a package's by then: it could name the worker's own files, or servers
/// that only this machine reaches, were they not held against `urls`, below which the archives are.
///
/// # Errors
/// When a line names a file or digest that is not one, or a place that is not below `urls`.
pub(super) fn wanted(printed: &str, urls: &[String]) -> Result<Vec<Wanted>, BuildError> {
    let wrong = |line: &str| {
        let shown: String = line.chars().take(200).collect();
        let detail = format!("apt names a package oddly, or outside of the archives: {shown}");
        BuildError::fault(FaultKind::InputsUnavailable, detail)
    };
    printed
        .lines()
        .filter(|line| line.starts_with('\''))
        .map(|line| {
            let package = parse_line(line).filter(|package| is_below(&package.url, urls));
            package.ok_or_else(|| wrong(line))
        })
        .collect()
}

/// Whether a URL names something below one of `urls`, in whichever way it is written.
fn is_below(url: &str, urls: &[String]) -> bool {
    let Some(plain) = plain(url) else { return false };
    let climbs = plain.split(|&byte| byte == b'/').any(|segment| segment == b"..");
    let is_below = |above: &String| {
        self::plain(above).is_some_and(|above| {
            plain.strip_prefix(&above[..]).is_some_and(|rest| rest.starts_with(b"/"))
        })
    };
    !climbs && urls.iter().any(is_below)
}

/// A local path as such, another URL percent-decoded; `None` for what is neither.
fn plain(url: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt as _;

    let bytes = match local_path(url) {
        Some(path) => path.into_os_string().into_vec(),
        // A `\` is a `/` for those who read URLs as browsers do.
        None => percent_decode(url).filter(|bytes| !bytes.contains(&b'\\'))?,
    };
    Some(bytes.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(bytes))
}

/// `'url' file size SHA256:digest`.
fn parse_line(line: &str) -> Option<Wanted> {
    let (url, rest) = line.strip_prefix('\'')?.split_once('\'')?;
    let mut words = rest.split_ascii_whitespace();
    let file = names::file(words.next()?).ok()?;
    let size = words.next()?.parse().ok()?;
    let sha256 = words.next()?.strip_prefix("SHA256:")?.parse().ok()?;
    // apt was told to copy what lies in local folders.
    let url = match url.strip_prefix("copy:") {
        Some(path) => format!("file:{path}"),
        None => url.to_owned(),
    };
    Some(Wanted { url, file: file.to_owned(), size, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn lines_of_apt_are_read() {
        let text = format!(
            "Reading lists...\n'http://m.example.org/pool/a_1%3a2_all.deb' a_1%3a2_all.deb 12 \
             SHA256:{DIGEST}\n'copy:/srv/b_1_all.deb' b_1_all.deb 3 SHA256:{DIGEST}\n"
        );
        let urls = ["http://m.example.org".to_owned(), "file:///srv/".to_owned()];
        let all = wanted(&text, &urls).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].file.as_str(), all[0].size), ("a_1%3a2_all.deb", 12));
        assert_eq!(all[1].url, "file:/srv/b_1_all.deb");
    }

    #[test]
    fn weak_digests_and_odd_names_are_refused() {
        for line in [
            "'http://x/a.deb' a.deb 12 MD5Sum:d04c2e9639dee67aa836d8232b1ca658".to_owned(),
            format!("'http://x/a.deb' ../a.deb 12 SHA256:{DIGEST}"),
            "'http://x/a.deb' a.deb 12".to_owned(),
            "'http://x/a.deb".to_owned(),
        ] {
            assert!(wanted(&line, &["http://x".to_owned()]).is_err(), "{line}");
        }
    }

    #[test]
    fn packages_come_from_the_archives_alone() {
        let urls = ["http://m.example.org/debian".to_owned(), "file:/srv/pool".to_owned()];
        let read = |url: &str| wanted(&format!("'{url}' a.deb 12 SHA256:{DIGEST}"), &urls);
        for url in [
            "http://m.example.org/debian/pool/a%3a1.deb",
            "copy:/srv/pool/./a.deb",
            "copy:///srv/pool/a.deb",
        ] {
            assert!(read(url).is_ok(), "{url}");
        }
        for url in [
            "http://127.0.0.1/a.deb",
            "http://m.example.org/other/a.deb",
            "http://m.example.org/debian-security/a.deb",
            "http://m.example.org/debian/../a.deb",
            "http://m.example.org/debian/%2e%2E/a.deb",
            "http://m.example.org/debian/..\\a.deb",
            "http://m.example.org/debian/%2e./a.deb",
            "http://m.example.org/debian@10.0.0.1/a.deb",
            "http://m.example.org:81/debian/a.deb",
            "file:/etc/shadow",
            "copy:/srv/pool/../worker.key",
            "/srv/other/a.deb",
            "copy:/srv/pool",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
