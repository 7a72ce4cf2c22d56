//! The words of the output. They are part of the contract of `--json`, so they are written, here or
//! where logs and other tables say the same, and not derived from the types of the wire.

use rebuilder_actors::protocol::wire::v1::ctl::{Package, PackageStatus};
use rebuilder_actors::protocol::{
    EnvironmentKnowledge, FaultKind, IndexTrust, Isolation, SignerKind, Stage, Verdict,
};

use crate::table::Tone;

/// Of a status.
pub fn status(status: PackageStatus) -> &'static str {
    status.word()
}

/// Of what is shown for an artifact: the status, and what weakens it.
pub fn shown_status(package: &Package) -> String {
    let mut text = status(package.status).to_owned();
    if differs_in_assumed_environment(package) {
        text.push_str(" (assumed environment)");
    }
    if package.flaky {
        text.push_str(", flaky");
    }
    text
}

/// As a colour. `Differs` from a merely assumed environment is no reproach (DESIGN §2).
pub fn tone(package: &Package) -> Tone {
    match package.status {
        _ if differs_in_assumed_environment(package) => Tone::Doubtful,
        PackageStatus::Reproduced if package.flaky => Tone::Doubtful,
        PackageStatus::Reproduced => Tone::Good,
        PackageStatus::Differs | PackageStatus::Missing | PackageStatus::BuildFailed => Tone::Bad,
        PackageStatus::Unknown | PackageStatus::Parked | PackageStatus::Dropped => Tone::Doubtful,
    }
}

fn differs_in_assumed_environment(package: &Package) -> bool {
    let environment = package.evidence.map(|evidence| evidence.environment);
    let assumed = [EnvironmentKnowledge::Suite, EnvironmentKnowledge::Partial];
    package.status == PackageStatus::Differs && environment.is_some_and(|e| assumed.contains(&e))
}

/// Whether distributions may gate on what is shown; `-` where there is no verdict.
pub fn gate(package: &Package) -> &'static str {
    match (package.gate_grade, package.evidence) {
        (true, _) => "yes",
        (false, Some(_)) => "no",
        (false, None) => "-",
    }
}

/// Why distributions may not gate on a verdict, in words; `None` where they may, or where there is
/// no verdict.
pub fn not_of_gate_grade(package: &Package) -> Option<String> {
    let evidence = package.evidence.filter(|_| !package.gate_grade)?;
    let index = match evidence.index {
        IndexTrust::Signed | IndexTrust::PackageSignature => None,
        IndexTrust::SignedWaiving(waived) if waived.is_pinned => None,
        IndexTrust::SignedWaiving(_) => Some("the index breaks rules, and is not pinned"),
        IndexTrust::HashOnly | IndexTrust::HashOnlyWaiving(_) => Some("the index was not signed"),
        IndexTrust::None => Some("nothing vouches for the index"),
    };
    let environment = match evidence.environment {
        EnvironmentKnowledge::Recorded => None,
        EnvironmentKnowledge::Partial => Some("a part of how it was built was left out"),
        EnvironmentKnowledge::Suite => Some("how it was built is not recorded"),
        EnvironmentKnowledge::Opaque => Some("a script chose the environment"),
    };
    let isolation = match evidence.isolation {
        Isolation::Full => None,
        Isolation::Network => Some("the build was not fully shut in"),
        Isolation::Script => Some("a script built it"),
        Isolation::None => Some("the build was not shut in"),
    };
    let signer = match evidence.signer {
        SignerKind::WorkerKey => None,
        SignerKind::Legacy => Some("a worker of the older kind signed it"),
    };
    let reasons: Vec<&str> =
        [index, environment, isolation, signer].into_iter().flatten().collect();
    let reasons =
        if reasons.is_empty() { "its evidence is weaker".into() } else { reasons.join(", ") };
    Some(format!("not to gate on: {reasons}"))
}

/// Of a fault, with the stage of one that ran out of time.
pub fn whole_fault(kind: FaultKind) -> String {
    match fault_stage(kind) {
        Some(stage) => format!("{} ({stage})", fault(kind)),
        None => fault(kind).to_owned(),
    }
}

/// Of a verdict.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "reproduced",
        Verdict::Differs => "differs",
        Verdict::Missing => "missing",
    }
}

/// Of the trust in an index.
pub fn index(index: IndexTrust) -> &'static str {
    match index {
        IndexTrust::Signed | IndexTrust::SignedWaiving(_) => "signed",
        IndexTrust::PackageSignature => "package-signature",
        IndexTrust::HashOnly | IndexTrust::HashOnlyWaiving(_) => "hash-only",
        IndexTrust::None => "none",
    }
}

/// Of what was known about an environment.
pub fn environment(environment: EnvironmentKnowledge) -> &'static str {
    match environment {
        EnvironmentKnowledge::Recorded => "recorded",
        EnvironmentKnowledge::Suite => "suite",
        EnvironmentKnowledge::Opaque => "opaque",
        EnvironmentKnowledge::Partial => "partial",
    }
}

/// Of an isolation.
pub fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Full => "full",
        Isolation::Script => "script",
        Isolation::None => "none",
        Isolation::Network => "network",
    }
}

/// Of a signer.
pub fn signer(signer: SignerKind) -> &'static str {
    match signer {
        SignerKind::WorkerKey => "worker-key",
        SignerKind::Legacy => "legacy",
    }
}

/// Of a stage.
pub fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Fetch => "fetch",
        Stage::Prepare => "prepare",
        Stage::Build => "build",
        Stage::Compare => "compare",
        Stage::Sign => "sign",
    }
}

/// Of a fault; the stage of `timed-out` is told apart.
pub fn fault(fault: FaultKind) -> &'static str {
    match fault {
        FaultKind::FetchFailed => "fetch-failed",
        FaultKind::InputsUnavailable => "inputs-unavailable",
        FaultKind::OutOfMemory => "out-of-memory",
        FaultKind::DiskFull => "disk-full",
        FaultKind::WorkerLost => "worker-lost",
        FaultKind::Cancelled => "cancelled",
        FaultKind::BackendMissing => "backend-missing",
        FaultKind::TimedOut(_) => "timed-out",
        FaultKind::WorkerFailed => "worker-failed",
    }
}

/// The stage of `timed-out`; `None` for every other fault.
pub fn fault_stage(fault: FaultKind) -> Option<&'static str> {
    match fault {
        FaultKind::TimedOut(at) => Some(stage(at)),
        _ => None,
    }
}
