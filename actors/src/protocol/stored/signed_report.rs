use super::{Record, Versioned};
use crate::protocol::SignedReport;

impl Versioned for SignedReport {
    const VERSION: u8 = 1;
}

/// The signed bytes of a report, beside its [`super::ReportRecord`].
impl Record for SignedReport {
    const TABLE: u8 = b'b';
    const PLURAL: &'static str = "signed reports";
    /// The report's sequence number.
    type Key = u64;
}

#[cfg(test)]
mod tests {
    use crate::protocol::{SignedLink, SignedReport};

    #[test]
    fn the_bytes_stay_as_they_are() {
        let link = SignedLink { file: "a.deb".into(), metablock: (&b"m"[..]).into() };
        let record = SignedReport { statement: (&b"{}"[..]).into(), links: vec![link] };
        super::super::record_test::check(
            &258,
            "620000000000000102",
            &record,
            "01027b7d0105612e646562016d",
        );
    }
}
