use super::{envelope, statement};
use crate::protocol::{BUILD_FAILED, Ending, Fault, SignedReport, Verdict};

/// What a report says, for a line of log: `2 reproduced, 1 differs`, `build-failed: …`, or the kind
/// of the fault and its detail. Signatures are not looked at: it is for whoever made it. `None`:
/// it cannot be read.
pub fn outcome(signed: &SignedReport) -> Option<String> {
    let opened = envelope::peek(&signed.statement).ok()?;
    let content = statement::decode(&opened).ok()?;
    Some(match &content.report.attempted.ending {
        Ending::Fault(Fault { kind, detail }) => format!("{kind}: {detail}"),
        Ending::BuildFailed { reason } => format!("{BUILD_FAILED}: {reason}"),
        Ending::Built(files) => {
            // Exactly the files that were reproduced have a link.
            let is_linked = |file: &str| signed.links.iter().any(|link| *link.file == *file);
            let missing = files.iter().filter(|rebuilt| rebuilt.output.is_none()).count();
            let reproduced = files.iter().filter(|rebuilt| is_linked(&rebuilt.file)).count();
            let differ = files.len() - missing - reproduced;
            Verdict::counted([reproduced, differ, missing])
        }
    })
}
