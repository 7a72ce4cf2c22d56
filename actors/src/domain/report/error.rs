use crate::protocol::Sha256;

/// Why a report was refused. Every one of them is final: the same bytes are refused for ever.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Something is larger than the limit for it.
    #[error("{what} has {count}, at most {count_max} are allowed")]
    TooLarge {
        /// What is measured, with its unit.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The limit.
        count_max: usize,
    },
    /// The envelope, the metablock or the payload is not JSON of the one accepted form.
    #[error("{what} cannot be read: {detail}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What the parser said.
        detail: String,
    },
    /// A type in the statement or its envelope is not the one that is accepted.
    #[error("{what} is `{found}`, expected `{expected}`")]
    WrongType {
        /// Which field.
        what: &'static str,
        /// What stands there, cut to 128 bytes.
        found: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// The signatures name other keys, or more or fewer keys, than they must.
    #[error("{what} is not signed by exactly the expected keys")]
    Signers {
        /// `statement`, or `link of FILE`.
        what: String,
    },
    /// A signature was not made by its key over these bytes.
    #[error("signature over {what} is not valid for key id {key_id}")]
    BadSignature {
        /// `statement`, or `link of FILE`.
        what: String,
        /// Which key it should have been.
        key_id: String,
    },
    /// The statement names a file twice.
    #[error("statement names `{file}` twice")]
    DuplicateFile {
        /// File name.
        file: String,
    },
    /// The subjects are not what the predicate (or the published artifacts) demand.
    #[error("subjects of the statement do not fit its predicate at `{name}`")]
    Subjects {
        /// Name of the first subject that does not fit.
        name: String,
    },
    /// There are two links for one file.
    #[error("`{file}` has two links")]
    LinkTwice {
        /// File name.
        file: String,
    },
    /// A link is about a file that the statement does not have as an output.
    #[error("link of `{file}`, which the statement does not have as an output")]
    LinkUnknown {
        /// File name.
        file: String,
    },
    /// A link says something else than the statement.
    #[error("link of `{file}` is not the one that its statement demands")]
    LinkDiffers {
        /// File name.
        file: String,
    },
    /// A reproduced file has no link.
    #[error("`{file}` was reproduced and has no link")]
    LinkMissing {
        /// File name.
        file: String,
    },
    /// A file that was not reproduced has a link.
    #[error("`{file}` was not reproduced and has a link")]
    LinkUnearned {
        /// File name.
        file: String,
    },
    /// The report is about another set of artifacts.
    #[error("report is about artifact set {reported}, not {expected}")]
    ArtifactSet {
        /// Which set the report names.
        reported: Sha256,
        /// Which set was asked for.
        expected: Sha256,
    },
    /// The report says nothing about an artifact.
    #[error("report says nothing about artifact `{file}`")]
    Unreported {
        /// File name.
        file: String,
    },
    /// The report is about a file that nobody asked for.
    #[error("report is about `{file}`, which is not among the artifacts")]
    NotAsked {
        /// File name.
        file: String,
    },
    /// Neither the index nor the report names the digest of the published file.
    #[error("digest of the published `{file}` is known neither from the index nor the report")]
    PublishedUnknown {
        /// File name.
        file: String,
    },
}

impl ReportError {
    pub(super) fn malformed(what: &'static str, detail: &impl ToString) -> Self {
        Self::Malformed { what, detail: detail.to_string() }
    }

    pub(super) fn wrong_type(what: &'static str, found: &str, expected: &'static str) -> Self {
        Self::WrongType { what, found: cut(found, 128).to_owned(), expected }
    }

    /// An error when `count` is beyond `count_max`.
    pub(super) fn limit(what: &'static str, count: usize, count_max: usize) -> Result<(), Self> {
        if count > count_max { Err(Self::TooLarge { what, count, count_max }) } else { Ok(()) }
    }
}

/// The longest front of `text` that has at most `bytes_max` bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
