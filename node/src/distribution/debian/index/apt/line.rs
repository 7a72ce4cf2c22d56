use super::{Entry, Options, switch};

/// One line each: `deb [options] URI SUITE COMPONENT…`.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))
        else {
            continue;
        };
        let source = entry(rest.trim_start()).ok_or_else(|| {
            "not `deb [options] URI SUITE COMPONENT…`, so that it is not followed".to_owned()
        });
        entries.push(source.flatten().map_err(|reason| format!("line {}: {reason}", n + 1)));
    }
    entries
}

/// `None`: it does not have the form of one.
fn entry(text: &str) -> Option<Entry> {
    let (options, rest) = match text.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", text),
    };
    let (uri, rest) = word(rest.trim_start())?;
    let mut words = rest.split_whitespace().map(str::to_owned);
    let suite = words.next()?;
    Some(self::options(options).source(uri, vec![suite], words.collect()))
}

/// The first word, within which brackets hold blanks together: `cdrom:[Debian 12]/`.
fn word(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    let end = text.find(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && c.is_whitespace()
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (!word.is_empty()).then_some((word, rest))
}

/// `name=value`, or `name+=value` and `name-=value`, which change what apt has by default. Those
/// that say only how to fetch are left out.
fn options(text: &str) -> Options {
    let mut options = Options::default();
    for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        match name.to_ascii_lowercase().as_str() {
            "signed-by" => options.signed_by = Some(value.to_owned()),
            "arch" => options.architectures = value.split(',').map(str::to_owned).collect(),
            "trusted" => options.trusted = switch(value),
            "check-valid-until" => options.check_valid_until = switch(value),
            _ => {}
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::debian::index::apt::{AptSource, Place, SignedBy};

    fn one(line: &str) -> Entry {
        let mut entries = entries(line);
        assert_eq!(entries.len(), 1, "{line}");
        entries.remove(0)
    }

    #[test]
    fn options_are_read_in_any_case_and_order() {
        let line = "deb [ lang=en Check-Valid-Until=No arch=amd64,i386 trusted=yes by-hash=force \
                    signed-by=/k/a.gpg ] http://mirror.example.org/x\ttrixie main contrib";
        let source = one(line).unwrap();
        assert_eq!(
            source,
            AptSource {
                place: Place::Archive("http://mirror.example.org/x".to_owned()),
                suites: vec!["trixie".to_owned()],
                components: vec!["main".to_owned(), "contrib".to_owned()],
                signed_by: Some(SignedBy::Files(vec!["/k/a.gpg".into()])),
                architectures: vec!["amd64".to_owned(), "i386".to_owned()],
                trusted: true,
                check_valid_until: false,
            }
        );
        let usual = one("deb [arch+=armhf] file:/srv/x sid main").unwrap();
        assert!(!usual.trusted && usual.check_valid_until && usual.architectures.is_empty());
        assert_eq!(one("deb http://x.example.org /").unwrap().suites, ["./"]);
    }

    #[test]
    fn what_is_not_followed_is_named_and_the_rest_is() {
        let all = entries(
            "\ndeb http://x\ndeb [arch=amd64 http://x y z\n\
             deb cdrom:[Debian GNU/Linux 12 _Bookworm_]/ bookworm main\n\
             deb tor+http://x.example.org sid main\ndeb http://x.example.org sid main\n",
        );
        assert_eq!(all.len(), 5);
        for (entry, start) in all.iter().zip([
            "line 2: not `deb",
            "line 3: not `deb",
            "line 4: cdrom:",
            "line 5: tor+http:",
        ]) {
            assert!(entry.as_ref().unwrap_err().starts_with(start), "{entry:?}");
        }
        assert!(all[4].is_ok());
    }
}
