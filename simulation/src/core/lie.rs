use rebuilder_actors::domain::queue::Event;
use rebuilder_actors::protocol::wire::v1::worker::{Running, Status};
use rebuilder_actors::protocol::{Assignment, GrantNumber, IndexTrust, Sha256, Stage};

use super::packages::flawless;
use super::world::{GIB, World};

impl World {
    /// A worker says what is not so.
    pub(super) fn lie(&mut self, number: usize) {
        let worker = &self.workers[number];
        if !worker.up {
            return;
        }
        let own = worker.running.values().map(|r| r.assignment.clone()).next();
        let others = self.workers.iter().enumerate().filter(|(other, _)| *other != number);
        let mut others = others.flat_map(|(_, worker)| worker.running.values());
        let stolen = others.next().map(|running| running.assignment.clone());
        match (self.random.of(0..7), own, stolen) {
            // Built by somebody else, or by nobody.
            (0 | 1, _, Some(assignment)) => self.pretend(number, &assignment, "stolen"),
            (2, Some(mut assignment), _) => {
                assignment.attempt.epoch.0 += 1;
                self.pretend(number, &assignment, "never granted");
            }
            (3, Some(assignment), _) => self.pretend(number, &assignment, "not built yet"),
            (4, Some(mut assignment), _) => {
                let better = assignment.index == IndexTrust::PackageSignature;
                assignment.index =
                    if better { IndexTrust::Signed } else { IndexTrust::PackageSignature };
                assignment.index_sha256 = Some(Sha256::of(b"lie"));
                self.pretend(number, &assignment, "about the index");
            }
            (5, Some(mut assignment), _) => {
                assignment.artifacts.truncate(1);
                assignment.artifacts[0].file = "other.deb".into();
                self.pretend(number, &assignment, "about other files");
            }
            (6, own, stolen) => self.tell_wrong(number, own.or(stolen)),
            _ => {}
        }
    }

    /// Reports success about something that it did not build. Now and then another key signs.
    fn pretend(&mut self, number: usize, assignment: &Assignment, what: &str) {
        let foreign = self.random.percent(15);
        let signer = if foreign { (number + 1) % self.workers.len() } else { number };
        let attempt = assignment.attempt;
        self.note(format_args!("worker-{number}"), || {
            format!("lies: a report of attempt {attempt}, {what}, signed by worker-{signer}")
        });
        let mut report = self.report(assignment, flawless(assignment));
        // Without a log, which only a build would send.
        report.log.size = 0;
        self.keep(number, assignment, report, signer, false);
    }

    /// Tells that it runs what it does not, or does not run what it does.
    fn tell_wrong(&mut self, number: usize, assignment: Option<Assignment>) {
        let Some(session) = self.workers[number].session else { return };
        let running = assignment.map(|assignment| Running {
            attempt: assignment.attempt,
            stage: Stage::Build,
            log_bytes: 1,
        });
        let seen = if self.random.percent(50) { GrantNumber(u64::MAX / 2) } else { GrantNumber(0) };
        self.note(format_args!("worker-{number}"), || format!("lies in a status: {running:?}"));
        let status = Status {
            seen,
            running: running.into_iter().collect(),
            spooled: Vec::new(),
            free_memory: 1000 * GIB,
            free_disk: GIB,
        };
        self.send_in(session, Event::StatusReceived(session, status));
    }
}
