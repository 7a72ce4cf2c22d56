use super::Place;
use crate::fetch::Fetcher;

/// The mirrors of an archive, the preferred one first; at least one.
///
/// # Errors
/// Why there is none, for people.
pub(in crate::distribution::debian::index) async fn mirrors_of(
    place: &Place,
    architectures: &[String],
    fetcher: &Fetcher,
) -> Result<Vec<String>, String> {
    let list = match place {
        Place::Archive(url) => return Ok(vec![url.clone()]),
        Place::Mirrors(list) => list,
    };
    let bytes = fetcher.get(list, LIST_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| format!("the list of mirrors is not read: {error}"))?;
    let mirrors = parse(&String::from_utf8_lossy(&bytes), architectures);
    if mirrors.is_empty() {
        return Err(format!("the list of mirrors {list} names none that can be used"));
    }
    Ok(mirrors)
}

/// A line each: a URI and, after blanks, words of the form `key:value` (apt-transport-mirror(1)).
fn parse(text: &str, architectures: &[String]) -> Vec<String> {
    let mut mirrors: Vec<(u32, String)> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(uri) = words.next() else { continue };
        // A list within a list is none in apt either.
        let Ok(Place::Archive(url)) = Place::of(uri) else { continue };
        // Without a priority it comes after all that have one.
        let mut priority = u32::MAX;
        let (mut types, mut arches) = (Vec::new(), Vec::new());
        for (key, value) in words.filter_map(|word| word.split_once(':')) {
            match key {
                "priority" => priority = value.parse().unwrap_or(u32::MAX),
                "type" => types.push(value),
                "arch" => arches.push(value),
                _ => {}
            }
        }
        // Several of a key: for each of them.
        let has_type = types.is_empty() || types.iter().any(|t| ["index", "deb"].contains(t));
        let has_arch =
            arches.is_empty() || architectures.iter().any(|known| arches.contains(&&**known));
        if has_type && has_arch && !mirrors.iter().any(|(_, known)| *known == url) {
            mirrors.push((priority, url));
        }
    }
    // Stable: apt draws lots among equals, which would ask another mirror at every read.
    mirrors.sort_by_key(|(priority, _)| *priority);
    mirrors.truncate(MIRRORS_MAX);
    mirrors.into_iter().map(|(_, url)| url).collect()
}

/// Longest list of mirrors.
const LIST_BYTES_MAX: u64 = 1 << 20;
/// Mirrors of one archive that are asked when those before fail: some is wrong with the archive,
/// or with this machine's network, when so many do.
const MIRRORS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_apt_does() {
        let text = "# ours\nhttp://c.example.org/debian\n\n\
                    http://b.example.org/debian\tpriority:2 type:index\r\n\
                    file:/srv/debian priority:1\nhttp://b.example.org/debian\n\
                    http://s.example.org/ type:deb-src\nhttp://i.example.org arch:riscv64\n\
                    https://a.example.org/debian arch:amd64 priority:2 # near\n\
                    ftp://x.example.org\nmirror+file:/etc/apt/mirrors.list\n";
        let mirrors = parse(text, &["amd64".to_owned(), "all".to_owned()]);
        assert_eq!(
            mirrors,
            [
                "file:/srv/debian",
                "http://b.example.org/debian",
                "https://a.example.org/debian",
                "http://c.example.org/debian",
            ]
        );
        assert_eq!(parse("# nothing\n\n", &[]), [""; 0]);
        let many: String = (0..99).map(|n| format!("http://m{n}.example.org\n")).collect();
        assert_eq!(parse(&many, &[]).len(), MIRRORS_MAX);
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirrors.list");
        let place = Place::of(&format!("mirror+file:{}", path.display())).unwrap();
        let fetcher = Fetcher::new(crate::fetch::FetchLimits::default()).unwrap();
        let error = mirrors_of(&place, &[], &fetcher).await.unwrap_err();
        assert!(error.contains("is not there"), "{error}");
        std::fs::write(&path, "ftp://x.example.org\n").unwrap();
        let error = mirrors_of(&place, &[], &fetcher).await.unwrap_err();
        assert!(error.contains("names none"), "{error}");
        std::fs::write(&path, "http://x.example.org\n").unwrap();
        assert_eq!(mirrors_of(&place, &[], &fetcher).await.unwrap(), ["http://x.example.org"]);
    }
}
