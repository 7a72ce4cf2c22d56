use std::collections::BTreeMap;

/// The first paragraph of a control file. Unlike the crate for whole indexes it keeps the
/// indentation of continued lines, which a recorded changelog needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paragraph {
    fields: BTreeMap<String, String>,
}

/// A control file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseParagraphError {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotText,
    /// A line that is neither a field nor the continuation of one.
    #[error("line {line} is neither a field nor a continuation")]
    Line {
        /// Counted from 1, after a signature's armour was taken off.
        line: usize,
    },
    /// The same field twice.
    #[error("field {field} is given twice")]
    Twice {
        /// Its name.
        field: String,
    },
    /// A field that must be there.
    #[error("field {field} is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
}

impl Paragraph {
    /// Reads the first paragraph; an OpenPGP clear-signature around it is taken off, unchecked.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ParseParagraphError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ParseParagraphError::NotText)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut current: Option<String> = None;
        for (n, line) in signed_lines(text) {
            let line = line.trim_end_matches(['\r', ' ', '\t']);
            if line.is_empty() {
                if fields.is_empty() {
                    continue;
                }
                break;
            }
            if line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix([' ', '\t']) {
                let value = current.as_ref().and_then(|field| fields.get_mut(field));
                let value = value.ok_or(ParseParagraphError::Line { line: n })?;
                value.push('\n');
                value.push_str(rest);
                continue;
            }
            let (field, value) =
                line.split_once(':').ok_or(ParseParagraphError::Line { line: n })?;
            if field.is_empty() || !field.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(ParseParagraphError::Line { line: n });
            }
            let field = field.to_ascii_lowercase();
            if fields.insert(field.clone(), value.trim_start().to_owned()).is_some() {
                return Err(ParseParagraphError::Twice { field });
            }
            current = Some(field);
        }
        Ok(Self { fields })
    }

    /// The value of a field, whose name is given in any case; continued lines are joined by line
    /// feeds and keep their indentation but for its first character.
    pub(super) fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(&field.to_ascii_lowercase()).map(String::as_str)
    }

    /// As `get`, for a field that must be there.
    pub(super) fn need(&self, field: &'static str) -> Result<&str, ParseParagraphError> {
        self.get(field).ok_or(ParseParagraphError::Missing { field })
    }
}

/// The lines inside a clear-signature, or all where there is none, with their numbers.
fn signed_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_signed = text.trim_start().starts_with(ARMOUR);
    let mut in_header = is_signed;
    let mut seen_armour = !is_signed;
    text.lines()
        .take_while(move |line| !(is_signed && line.starts_with("-----BEGIN PGP SIGNATURE-----")))
        .filter(move |line| {
            if !seen_armour {
                seen_armour = line.starts_with(ARMOUR);
                return false;
            }
            if in_header {
                in_header = !line.trim().is_empty();
                return false;
            }
            true
        })
        .map(move |line| if is_signed { line.strip_prefix("- ").unwrap_or(line) } else { line })
        .enumerate()
        .map(|(n, line)| (n + 1, line))
}

const ARMOUR: &str = "-----BEGIN PGP SIGNED MESSAGE-----";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn continued_lines_keep_their_indentation() {
        let text = "A: 1\nB:\n x\n   y\n .\nc: z\n\nD: next paragraph\n";
        let paragraph = Paragraph::parse(text.as_bytes()).unwrap();
        assert_eq!(paragraph.get("a"), Some("1"));
        assert_eq!(paragraph.get("B"), Some("\nx\n  y\n."));
        assert_eq!(paragraph.get("C"), Some("z"));
        assert_eq!(paragraph.get("D"), None);
    }

    #[test]
    fn a_clear_signature_is_taken_off() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nA: 1\n- -B: 2\n\n\
                    -----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";
        let paragraph = Paragraph::parse(text.as_bytes()).unwrap();
        assert_eq!(paragraph.get("A"), Some("1"));
        assert_eq!(paragraph.get("-B"), Some("2"));
        assert_eq!(paragraph.get("Hash"), None);
    }

    #[test]
    fn broken_files_are_refused() {
        for text in [" x\n", "novalue\n", ": x\n", "A: 1\na: 2\n"] {
            assert!(Paragraph::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert_eq!(Paragraph::parse(b"\xff"), Err(ParseParagraphError::NotText));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _either = Paragraph::parse(&bytes);
        }
    }
}
