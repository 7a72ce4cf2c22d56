use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use rebuilder_actors::actor::coordinator::Services;
use rebuilder_actors::domain::results::{Faults, Packages, Troubles};
use rebuilder_actors::protocol::text::printable;
use rebuilder_actors::protocol::wire::v1::ctl::{
    Package, PackageFilter, PackageStatus, Subject, Trouble,
};
use rebuilder_actors::protocol::{
    EnvironmentKnowledge, Evidence, IndexTrust, InputId, Isolation, UtcMillis,
};

use super::error::RoleError;
use super::expected::Expected;

/// Prints one row for each artifact, and how many there are of each result. `unfit`: what the ready
/// jobs ask for when no connected worker can do one of them.
pub(super) async fn print(
    services: &Services,
    expected: &Expected,
    unfit: Option<&str>,
) -> Result<(), RoleError> {
    let open = Open { faults: faults(services).await?, waits: waits(services, unfit).await? };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PACKAGE", "VERSION", "ARCH", "RESULT", "EVIDENCE", "WHY"]);
    let mut counts = BTreeMap::new();
    for package in packages(services).await? {
        *counts.entry(package.status).or_insert(0_u32) += 1;
        table.add_row([
            printable(&package.name),
            printable(&package.version),
            printable(&package.architecture),
            word(&package).to_owned(),
            package.evidence.map_or_else(String::new, evidence),
            printable(&why(&package, expected, &open, services.clock.utc())),
        ]);
    }
    let counts = counts.iter().map(|(status, n)| format!("{n} {}", status.word()));
    let counts = counts.collect::<Vec<_>>().join(", ");
    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    {
        println!("{}\n\n{counts}", table.trim_fmt());
    }
    Ok(())
}

/// Why artifacts have no verdict.
#[derive(Default)]
struct Open {
    /// Last faults, by job.
    faults: BTreeMap<InputId, Trouble>,
    /// Of jobs without one.
    waits: String,
}

async fn faults(services: &Services) -> Result<BTreeMap<InputId, Trouble>, RoleError> {
    let mut faults = BTreeMap::new();
    let each = |trouble: Trouble| {
        if let Subject::Job(job) = trouble.subject {
            faults.insert(job, trouble);
        }
    };
    let asked = services.views.each(&Faults(PackageFilter::default()), each).await;
    asked.map_err(|error| RoleError::GaveUp(error.to_string()))?;
    Ok(faults)
}

/// What jobs without a fault wait for.
async fn waits(services: &Services, unfit: Option<&str>) -> Result<String, RoleError> {
    let unfit = unfit.map(|asked| format!("no connected worker can do {asked}"));
    let mut reasons: Vec<String> = unfit.into_iter().collect();
    let each = |trouble: Trouble| {
        if let Subject::Worker(id) = trouble.subject {
            reasons.push(format!("worker {id} {}", trouble.text));
        }
    };
    let asked = services.views.each(&Troubles { now: services.clock.utc() }, each).await;
    asked.map_err(|error| RoleError::GaveUp(error.to_string()))?;
    Ok(if reasons.is_empty() { "not built yet".to_owned() } else { reasons.join("; ") })
}

async fn packages(services: &Services) -> Result<Vec<Package>, RoleError> {
    let mut rows = Vec::new();
    let everything = Packages(vec![PackageFilter::default()]);
    let asked = services.views.each(&everything, |row| rows.push(row.package)).await;
    asked.map_err(|error| RoleError::GaveUp(error.to_string()))?;
    rows.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(rows)
}

fn word(package: &Package) -> &'static str {
    let assumed = [EnvironmentKnowledge::Suite, EnvironmentKnowledge::Partial];
    let assumed = package.evidence.is_some_and(|e| assumed.contains(&e.environment));
    match package.status {
        PackageStatus::Differs if assumed => "differs (assumed environment)",
        status => status.word(),
    }
}

/// `signed/suite/full`: index, environment, isolation; `signed -date/…` where a rule is waived.
fn evidence(evidence: Evidence) -> String {
    let index = match evidence.index {
        IndexTrust::Signed | IndexTrust::SignedWaiving(_) => "signed",
        IndexTrust::PackageSignature => "package-signature",
        IndexTrust::HashOnly | IndexTrust::HashOnlyWaiving(_) => "hash-only",
        IndexTrust::None => "none",
    };
    let waived: String = evidence.index.waived().words().flat_map(|word| [" -", word]).collect();
    let environment = match evidence.environment {
        EnvironmentKnowledge::Recorded => "recorded",
        EnvironmentKnowledge::Suite => "suite",
        EnvironmentKnowledge::Opaque => "opaque",
        EnvironmentKnowledge::Partial => "partial",
    };
    let isolation = match evidence.isolation {
        Isolation::Full => "full",
        Isolation::Script => "script",
        Isolation::None => "none",
        Isolation::Network => "network",
    };
    format!("{index}{waived}/{environment}/{isolation}")
}

/// Empty only where the artifact is reproduced.
fn why(package: &Package, expected: &Expected, open: &Open, now: UtcMillis) -> String {
    let note = expected.note(&package.source, package.status.word());
    let reason = match package.status {
        PackageStatus::Reproduced => None,
        PackageStatus::Differs if package.has_difference => {
            Some(format!("see: rebuilder-ctl pkgs diffoscope --name {}", package.name))
        }
        PackageStatus::Differs => Some("other bytes; no difference is kept".to_owned()),
        PackageStatus::Missing => Some("the build made no such file".to_owned()),
        PackageStatus::BuildFailed => package.reason.clone(),
        PackageStatus::Dropped => Some("an operator dropped the job".to_owned()),
        PackageStatus::Unknown | PackageStatus::Parked => {
            Some(match open.faults.get(&package.job) {
                Some(trouble) => told(trouble, now),
                None => open.waits.clone(),
            })
        }
    };
    [note, reason].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// `fetch-failed: …; 3 times in a row; next try in 45 s`.
fn told(trouble: &Trouble, now: UtcMillis) -> String {
    let times = match trouble.times {
        1 => String::new(),
        times => format!("; {times} times in a row"),
    };
    let next = trouble.next.map(|next| {
        format!("; next try in {}", rounded(next.0.saturating_sub(now.0).max(0) / 1000))
    });
    format!("{}{times}{}", trouble.text, next.unwrap_or_default())
}

/// Seconds as people say them; a table of the same state is the same some seconds later.
fn rounded(secs: i64) -> String {
    match secs {
        ..120 => format!("{secs} s"),
        120..7200 => format!("{} min", (secs + 30) / 60),
        _ => format!("{} h", (secs + 1800) / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_say_them() {
        for (secs, text) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min")] {
            assert_eq!(rounded(secs), text);
        }
        for secs in [84_600, 86_384, 86_400] {
            assert_eq!(rounded(secs), "24 h");
        }
    }

    #[test]
    fn a_fault_is_told_with_its_number_and_next_try() {
        let trouble = |times, next: Option<i64>| Trouble {
            subject: Subject::Job(InputId(1)),
            text: "fetch-failed: refused".into(),
            times,
            next: next.map(UtcMillis),
        };
        let now = UtcMillis(5_000);
        assert_eq!(told(&trouble(1, None), now), "fetch-failed: refused");
        let text = "fetch-failed: refused; 3 times in a row; next try in 45 s";
        assert_eq!(told(&trouble(3, Some(50_000)), now), text);
        assert_eq!(told(&trouble(1, Some(1)), now), "fetch-failed: refused; next try in 0 s");
    }
}
