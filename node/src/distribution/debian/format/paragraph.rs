use std::collections::BTreeMap;

use super::control::Stanza;
use super::signed::{self, CutOff};

/// The first paragraph of a control file with one, such as a `.dsc`, a `.buildinfo`, a `.changes`
/// or the `control` of a package. Unlike the reader of indexes it keeps all fields, and the
/// indentation of continued lines, which a recorded changelog needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paragraph {
    fields: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A control file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseParagraphError {
    /// A field that another program or a path depends on is not UTF-8.
    #[error("field {field} is not UTF-8")]
    NotText {
        /// Name of the field, as it stands in the format.
        field: &'static str,
    },
    /// The clear-signed text ends before its signature.
    #[error("{0}")]
    CutOff(String),
    /// The same field twice, with two values.
    #[error("field {field} is given twice")]
    Twice {
        /// Name of the field, as it stands in the format.
        field: String,
    },
    /// A field that must be there.
    #[error("field {field} is missing")]
    Missing {
        /// Name of the field, as it stands in the format.
        field: &'static str,
    },
}

impl Paragraph {
    /// Reads the first paragraph; an OpenPGP clear-signature around it is taken off, unchecked.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ParseParagraphError> {
        let cut_off = |error: CutOff| ParseParagraphError::CutOff(error.to_string());
        let text = signed::text_of(bytes).map_err(cut_off)?;
        let mut fields: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (name, value) in Stanza::first(&text).all() {
            let value = value.unfolded();
            let name = name.to_ascii_lowercase();
            if fields.get(&name).is_some_and(|before| *before != value) {
                let field = String::from_utf8_lossy(&name).into_owned();
                return Err(ParseParagraphError::Twice { field });
            }
            fields.insert(name, value);
        }
        Ok(Self { fields })
    }

    /// The value of a field, whose name is given in any case; continued lines are joined by line
    /// feeds and keep their indentation but for its first character.
    pub(crate) fn get(&self, field: &'static str) -> Result<Option<&str>, ParseParagraphError> {
        let value = self.fields.get(field.to_ascii_lowercase().as_bytes());
        let text = |value: &'_ Vec<u8>| core::str::from_utf8(value).is_ok();
        match value {
            Some(value) if !text(value) => Err(ParseParagraphError::NotText { field }),
            value => Ok(value.and_then(|value| core::str::from_utf8(value).ok())),
        }
    }

    /// As `get`, for a field that must be there.
    pub(crate) fn need(&self, field: &'static str) -> Result<&str, ParseParagraphError> {
        self.get(field)?.ok_or(ParseParagraphError::Missing { field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn continued_lines_keep_their_indentation() {
        let text = "A: 1\nB:\n x\n   y\n .\nc: z\n\nD: next paragraph\n";
        let paragraph = Paragraph::parse(text.as_bytes()).unwrap();
        assert_eq!(paragraph.get("a"), Ok(Some("1")));
        assert_eq!(paragraph.get("B"), Ok(Some("\nx\n  y\n.")));
        assert_eq!(paragraph.get("C"), Ok(Some("z")));
        assert_eq!(paragraph.get("D"), Ok(None));
    }

    #[test]
    fn a_clear_signature_is_taken_off() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nA: 1\n- -B: 2\n\n\
                    -----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";
        for text in [text.to_owned(), text.replace('\n', "\r\n")] {
            let paragraph = Paragraph::parse(text.as_bytes()).unwrap();
            assert_eq!(paragraph.get("A"), Ok(Some("1")));
            assert_eq!(paragraph.get("-B"), Ok(Some("2")));
            assert_eq!(paragraph.get("Hash"), Ok(None));
        }
    }

    #[test]
    fn only_fields_that_are_needed_as_text_must_be() {
        let text = b"Maintainer: Ren\xe9 <r@example.org>\nSource: hello\nVersion: \xff\n";
        let paragraph = Paragraph::parse(text).unwrap();
        assert_eq!(paragraph.need("Source"), Ok("hello"));
        let field = "Version";
        assert_eq!(paragraph.need(field), Err(ParseParagraphError::NotText { field }));
        assert_eq!(paragraph.need("X"), Err(ParseParagraphError::Missing { field: "X" }));
    }

    #[test]
    fn contradictions_are_refused_and_stray_lines_are_not() {
        let twice = Paragraph::parse(b"A: 1\na: 2\n");
        assert_eq!(twice, Err(ParseParagraphError::Twice { field: "a".to_owned() }));
        let same = Paragraph::parse(b"stray\nA: 1\n: x\na: 1\n").unwrap();
        assert_eq!(same.get("A"), Ok(Some("1")));
        let cut = b"-----BEGIN PGP SIGNED MESSAGE-----\n\nA: 1\n";
        assert!(matches!(Paragraph::parse(cut), Err(ParseParagraphError::CutOff(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _either = Paragraph::parse(&bytes);
        }
    }
}
