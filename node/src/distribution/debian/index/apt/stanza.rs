use super::{Entry, Options, switch};
use crate::distribution::debian::format::control::{Stanza, Stanzas, Unreadable};

/// deb822 stanzas with `Types`, `URIs`, `Suites`, `Components` and options.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    // A line of blanks ends a stanza here, as in apt.
    let plain: String = lines.flat_map(|line| [line.trim_end(), "\n"]).collect();
    let mut entries = Vec::new();
    let mut input = plain.as_bytes();
    let mut stanzas = Stanzas::new(&mut input);
    loop {
        match stanzas.next() {
            Ok(Some(stanza)) => match of_stanza(&stanza) {
                Ok(found) => entries.extend(found),
                Err(error) => entries.push(Err(error.to_string())),
            },
            Ok(None) => return entries,
            Err(error) => {
                entries.push(Err(error.to_string()));
                return entries;
            }
        }
    }
}

fn of_stanza(stanza: &Stanza<'_>) -> Result<Vec<Entry>, Unreadable> {
    let names = [
        "Types",
        "URIs",
        "Suites",
        "Components",
        "Signed-By",
        "Enabled",
        "Architectures",
        "Trusted",
        "Check-Valid-Until",
    ];
    let mut values = [None; 9];
    for (n, value) in stanza.fields(names)?.into_iter().enumerate() {
        values[n] = stanza.text(names[n], value)?;
    }
    let [types, uris, suites, components, signed_by, enabled, architectures, trusted, valid] =
        values;
    let words = |text: Option<&str>| -> Vec<String> {
        text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let off = enabled.and_then(switch) == Some(false);
    if off || !words(types).iter().any(|word| word == "deb") {
        return Ok(Vec::new());
    }
    let suites = words(suites);
    if uris.is_none() || suites.is_empty() {
        return Err(stanza.fault("URIs or Suites is missing"));
    }
    let options = Options {
        signed_by: signed_by.map(str::to_owned),
        architectures: words(architectures),
        trusted: trusted.and_then(switch),
        check_valid_until: valid.and_then(switch),
    };
    let source = |uri: String| {
        let source = options.source(&uri, suites.clone(), words(components));
        source.map_err(|reason| stanza.fault(reason).to_string())
    };
    Ok(words(uris).into_iter().map(source).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::debian::index::apt::SignedBy;

    #[test]
    fn options_and_keys_within_are_read() {
        let text = "Enabled: True\nTypes: deb\nURIs: http://x.example.org\nSuites: sid\n\
                    Components: main\nArchitectures: amd64 i386\nTrusted: Yes\n\
                    check-valid-until: 0\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n \
                    mDME\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let source = entries(text).remove(0).unwrap();
        assert!(source.trusted && !source.check_valid_until);
        assert_eq!(source.architectures, ["amd64", "i386"]);
        let Some(SignedBy::Key(key)) = source.signed_by else { panic!("{source:?}") };
        assert!(key.contains("mDME"), "{key}");
    }

    #[test]
    fn every_way_to_switch_off_is_one() {
        for off in ["no", "No", "off", "false", "0", "disable"] {
            let text =
                format!("Types: deb\nURIs: http://x.example.org\nSuites: s\nEnabled: {off}\n");
            assert_eq!(entries(&text), [], "{off}");
        }
    }

    #[test]
    fn a_bad_stanza_does_not_stop_the_others() {
        let good = "Types: deb\nURIs: http://x.example.org\nSuites: y\n\n";
        for (bad, why) in [
            ("Types: deb\nURIs: http://x.example.org\n\n", "Suites is missing"),
            ("Types: deb\nURIs: http://x\nSuites: y\nSigned-By: ABCD\n\n", "names no keyring file"),
            ("Types: deb\nURIs: tor+https://x\nSuites: y\n\n", "Tor"),
            ("Types: deb\nURIs: s3://x\nSuites: y\n\n", "`s3`"),
        ] {
            let all = entries(&format!("{good}{bad}{good}"));
            assert_eq!(all.iter().filter(|entry| entry.is_ok()).count(), 2, "{all:?}");
            let error = all.iter().find_map(|entry| entry.as_ref().err()).unwrap();
            assert!(error.contains(why), "{error}");
        }
    }
}
