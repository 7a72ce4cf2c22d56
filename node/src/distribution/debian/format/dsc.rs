use rebuilder_actors::protocol::Sha256;

use super::names::{self, InvalidName};
use super::paragraph::{Paragraph, ParseParagraphError};

/// What a `.dsc` says that a rebuild needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceControl {
    /// Source package.
    pub source: String,
    /// Its version with epoch; never with a binNMU suffix.
    pub version: String,
    /// The files beside it, at most [`FILES_MAX`].
    pub files: Vec<SourceFile>,
}

/// One file that a `.dsc` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// One path segment.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// A `.dsc` or `.buildinfo` that is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Not a control file.
    #[error(transparent)]
    Paragraph(#[from] ParseParagraphError),
    /// A name in it is not allowed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A field cannot be read.
    #[error("field {field} cannot be read: {why}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl SourceControl {
    /// Reads a `.dsc`, clear-signed or not.
    ///
    /// # Errors
    /// When a needed field is missing, a name is not allowed, or there are too many files.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlError> {
        let paragraph = Paragraph::parse(bytes)?;
        Ok(Self {
            source: names::package(paragraph.need("Source")?)?.to_owned(),
            version: names::version(paragraph.need("Version")?)?.to_owned(),
            files: checksums(&paragraph, "Checksums-Sha256")?,
        })
    }
}

/// One line ` digest size name` of a checksum field; `None` when it is not that.
pub(crate) fn checksum(line: &str) -> Option<(Sha256, u64, &str)> {
    checksum_by(|text| text.parse().ok(), line)
}

/// As [`checksum`], with a digest of another kind.
pub(crate) fn checksum_by<D>(
    digest: impl Fn(&str) -> Option<D>,
    line: &str,
) -> Option<(D, u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (text, size, name) = (words.next()?, words.next()?, words.next()?);
    let is_whole = words.next().is_none();
    is_whole.then_some((digest(text)?, size.parse().ok()?, name))
}

/// All lines of a checksum field; a file that is named twice must be the same both times.
pub(crate) fn checksums(
    paragraph: &Paragraph,
    field: &'static str,
) -> Result<Vec<SourceFile>, ControlError> {
    let wrong = |why: &str| ControlError::Field { field, why: why.to_owned() };
    let mut files: Vec<SourceFile> = Vec::new();
    for line in paragraph.need(field)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sha256, size, name) =
            checksum(line).ok_or_else(|| wrong("a line is not a SHA-256, a size and a name"))?;
        let file = SourceFile { name: names::file(name)?.to_owned(), size, sha256 };
        if let Some(known) = files.iter().find(|known| known.name == file.name) {
            if *known == file {
                continue;
            }
            return Err(wrong("a file is named twice"));
        }
        if files.len() == FILES_MAX {
            return Err(wrong("too many files"));
        }
        files.push(file);
    }
    Ok(files)
}

/// Most files of one source package or build; the largest of Debian have a few hundred.
pub(super) const FILES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn dsc(lines: &str) -> String {
        format!("Format: 3.0 (native)\nSource: ucf\nVersion: 1:3.0\nChecksums-Sha256:\n{lines}")
    }

    #[test]
    fn files_are_read() {
        let parsed =
            SourceControl::parse(dsc(&format!(" {DIGEST} 12 ucf_3.0.tar.xz\n")).as_bytes());
        let parsed = parsed.unwrap();
        assert_eq!((parsed.source.as_str(), parsed.version.as_str()), ("ucf", "1:3.0"));
        assert_eq!(parsed.files[0].name, "ucf_3.0.tar.xz");
        assert_eq!(parsed.files[0].size, 12);
    }

    #[test]
    fn hostile_lines_are_refused() {
        for line in [
            format!(" {DIGEST} 12 ../x"),
            format!(" {DIGEST} 12 /etc/passwd"),
            format!(" {DIGEST} 12 a b"),
            format!(" {DIGEST} -12 a"),
            format!(" {DIGEST} 12 .a"),
            " e3b0 12 a".to_owned(),
            format!(" {DIGEST} 12 ab\n {DIGEST} 13 ab"),
        ] {
            assert!(SourceControl::parse(dsc(&line).as_bytes()).is_err(), "{line}");
        }
        assert!(SourceControl::parse(b"Source: x\n").is_err());
    }
}
