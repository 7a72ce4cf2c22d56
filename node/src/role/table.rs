use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use rebuilder_actors::actor::coordinator::{House, results};
use rebuilder_actors::protocol::text::printable;
use rebuilder_actors::protocol::wire::v1::ctl::{Package, PackageFilter, PackageStatus};
use rebuilder_actors::protocol::{EnvironmentKnowledge, Evidence, IndexTrust, Isolation};

use super::error::RoleError;
use super::expected::Expected;

/// Prints one row for each artifact, and how many there are of each result.
pub(super) async fn print(house: &House, expected: &Expected) -> Result<(), RoleError> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PACKAGE", "VERSION", "ARCH", "RESULT", "EVIDENCE", "WHY"]);
    let mut counts = BTreeMap::new();
    for package in packages(house).await? {
        *counts.entry(package.status).or_insert(0_u32) += 1;
        table.add_row([
            printable(&package.name),
            printable(&package.version),
            printable(&package.architecture),
            word(&package).to_owned(),
            package.evidence.map_or_else(String::new, evidence),
            printable(&why(&package, expected)),
        ]);
    }
    let counts = counts.iter().map(|(status, n)| format!("{n} {}", plain(*status)));
    let counts = counts.collect::<Vec<_>>().join(", ");
    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    {
        println!("{}\n\n{counts}", table.trim_fmt());
    }
    Ok(())
}

async fn packages(house: &House) -> Result<Vec<Package>, RoleError> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let filter = PackageFilter::default();
        let ask = |reply| results::Message::Packages { filter, after, limit: 500, reply };
        let page = house.ask(&house.results, ask).await;
        let page = page.map_err(|gone| RoleError::GaveUp(gone.to_string()))?;
        let page = page.map_err(|error| RoleError::GaveUp(error.to_string()))?;
        rows.extend(page.rows);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    rows.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(rows)
}

fn word(package: &Package) -> &'static str {
    let assumed = package.evidence.is_some_and(|e| e.environment == EnvironmentKnowledge::Suite);
    match package.status {
        PackageStatus::Differs if assumed => "Differs (assumed environment)",
        status => plain(status),
    }
}

fn plain(status: PackageStatus) -> &'static str {
    match status {
        PackageStatus::Reproduced => "Reproduced",
        PackageStatus::Differs => "Differs",
        PackageStatus::Missing => "Missing",
        PackageStatus::BuildFailed => "BuildFailed",
        PackageStatus::Unknown => "Unknown",
        PackageStatus::Parked => "Parked",
    }
}

/// `signed/suite/full`: index, environment, isolation.
fn evidence(evidence: Evidence) -> String {
    let index = match evidence.index {
        IndexTrust::Signed => "signed",
        IndexTrust::PackageSignature => "package-signature",
        IndexTrust::HashOnly => "hash-only",
        IndexTrust::None => "none",
    };
    let environment = match evidence.environment {
        EnvironmentKnowledge::Recorded => "recorded",
        EnvironmentKnowledge::Suite => "suite",
        EnvironmentKnowledge::Opaque => "opaque",
    };
    let isolation = match evidence.isolation {
        Isolation::Full => "full",
        Isolation::Script => "script",
        Isolation::None => "none",
        Isolation::Network => "network",
    };
    format!("{index}/{environment}/{isolation}")
}

fn why(package: &Package, expected: &Expected) -> String {
    let difference = package
        .has_difference
        .then(|| format!("see: rebuilder-ctl pkgs diffoscope --name {}", package.name));
    let note = expected.note(&package.source, plain(package.status));
    let fault = package.fault.map(|kind| format!("{kind}: "));
    let reason = package.reason.as_ref();
    let reason = reason.map(|reason| format!("{}{reason}", fault.unwrap_or_default()));
    let parts = [note, reason, difference];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
