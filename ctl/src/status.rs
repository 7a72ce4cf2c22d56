//! `status` for people.

use std::fmt::Write;

use rebuilder_actors::domain::report::key_id;
use rebuilder_actors::protocol::wire::v1::ctl::{RunningJob, Status};

use crate::human;
use crate::json::artifact_counts;
use crate::list::{Row, Rows, Show};
use crate::text::printable;

/// Four lines, and a table of what runs now when anything does.
pub fn text(status: &Status, show: Show) -> String {
    let mut out = String::new();
    let (jobs, artifacts) = (&status.jobs, artifact_counts(&status.artifacts));
    let next = jobs.next_due_ms.map(|ms| format!(" (next in {})", human::duration(ms)));
    let lines = [
        (
            "coordinator",
            format!("{}, up {}", printable(&status.software), human::duration(status.uptime_ms)),
        ),
        ("key", status.key.to_string()),
        ("key id", key_id(&status.key)),
        (
            "jobs",
            format!(
                "{} ready, {} delayed{}, {} running, {} parked, {} decided, {} dropped",
                jobs.ready,
                jobs.delayed,
                next.unwrap_or_default(),
                jobs.running,
                jobs.parked,
                jobs.decided,
                jobs.dropped
            ),
        ),
        (
            "artifacts",
            format!(
                "{} reproduced, {} differs, {} missing, {} build-failed, {} unknown, {} parked, \
                 {} dropped",
                artifacts.reproduced,
                artifacts.differs,
                artifacts.missing,
                artifacts.build_failed,
                artifacts.unknown,
                artifacts.parked,
                artifacts.dropped
            ),
        ),
    ];
    for (name, value) in lines {
        writeln!(out, "{name:<12} {value}").expect("a String takes everything");
    }
    if status.quarantined > 0 {
        let (name, count) = ("quarantine", status.quarantined);
        writeln!(out, "{name:<12} {count} set aside after panics; see `quarantine ls`")
            .expect("a String takes everything");
    }
    let mut rows = Rows::beside(RunningJob::COLUMNS, show);
    let mut table = String::new();
    for job in &status.running {
        table.extend(rows.push(job));
    }
    table.push_str(&rows.finish().0);
    if !table.is_empty() {
        out.push('\n');
        out.push_str(&table);
    }
    out
}
