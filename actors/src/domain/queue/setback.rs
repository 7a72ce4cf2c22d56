use core::time::Duration;

use super::event::Now;
use super::told::SetAside;
use crate::domain::BackOff;
use crate::planted::{self, Bug};
use crate::port::Monotonic;
use crate::protocol::{Fault, FaultKind, UtcMillis};

/// Attempts in a row that ended in a worker's own faults: after some of them it gets no work for a
/// while, longer each time, as it would only take jobs from those that can do them. Kept in memory:
/// a coordinator that starts again gives each worker another chance.
#[derive(Clone, Debug, Default)]
pub(super) struct Setback {
    faults: u32,
    aside: Option<Aside>,
}

/// A worker is set aside.
#[derive(Clone, Debug)]
pub(super) struct Aside {
    /// No work before.
    pub(super) until: Monotonic,
    /// The same for people.
    pub(super) until_utc: UtcMillis,
    /// Attempts in a row that failed.
    pub(super) faults: u32,
    /// Of the last one.
    pub(super) fault: Fault,
}

/// Attempts in a row after which a worker is set aside. Fewer may be due to one package.
pub(super) const OWN_FAULTS: u32 = 4;

/// How long it is set aside for that many, and for each one more.
const ASIDE: BackOff = BackOff::new(Duration::from_secs(60), Duration::from_secs(3600));

/// True for what is wrong with the machine, and not with the package, the archive or the network.
pub(super) fn is_own(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::BackendMissing | FaultKind::DiskFull | FaultKind::WorkerFailed)
}

impl Setback {
    /// An attempt ended in a fault: until when the worker is set aside for it; `None`: it is not.
    pub(super) fn failed(&mut self, now: Now, fault: &Fault) -> Option<&Aside> {
        if !is_own(fault.kind) || planted::is(Bug::FailingWorkerKept) {
            return None;
        }
        self.faults = self.faults.saturating_add(1);
        if self.faults < OWN_FAULTS {
            return None;
        }
        let wait = ASIDE.after(self.faults - (OWN_FAULTS - 1));
        self.aside = Some(Aside {
            until: now.monotonic.plus(wait),
            until_utc: now.utc.plus(wait),
            faults: self.faults,
            fault: fault.clone(),
        });
        self.aside.as_ref()
    }

    /// An attempt ended in a verdict: the machine can build.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// End of the last time aside; `None`: there was none since it last succeeded.
    pub(super) fn until(&self) -> Option<Monotonic> {
        self.aside.as_ref().map(|aside| aside.until)
    }

    /// The last time aside, as readers are told of it.
    pub(super) fn told(&self) -> Option<SetAside> {
        let aside = self.aside.as_ref()?;
        let Aside { until_utc, faults, fault, .. } = aside;
        Some(SetAside { until: *until_utc, faults: *faults, fault: fault.clone() })
    }

    /// Why it gets no work now; `None`: it may.
    pub(super) fn aside(&self, now: Monotonic) -> Option<&Aside> {
        self.aside.as_ref().filter(|aside| now < aside.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Now {
        let utc = UtcMillis(i64::try_from(secs).unwrap() * 1000);
        Now { monotonic: Monotonic(Duration::from_secs(secs)), utc }
    }

    fn fault(kind: FaultKind) -> Fault {
        Fault { kind, detail: "no".into() }
    }

    #[test]
    fn some_own_faults_in_a_row_set_a_worker_aside_longer_each_time() {
        let mut setback = Setback::default();
        let own = [FaultKind::WorkerFailed, FaultKind::BackendMissing, FaultKind::DiskFull];
        for kind in own {
            assert!(setback.failed(at(0), &fault(kind)).is_none());
        }
        let mut waits = Vec::new();
        for _ in 0..9 {
            let aside = setback.failed(at(0), &fault(FaultKind::DiskFull)).unwrap();
            waits.push(aside.until_utc.0 / 1000);
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        assert!(setback.aside(at(3599).monotonic).is_some_and(|aside| aside.faults == 12));
        assert!(setback.aside(at(3600).monotonic).is_none(), "it is tried again");
        assert!(setback.failed(at(3700), &fault(FaultKind::DiskFull)).is_some(), "at once aside");
        setback.succeeded();
        assert!(setback.aside(at(3700).monotonic).is_none());
        assert!(setback.failed(at(3700), &fault(FaultKind::DiskFull)).is_none());
    }

    #[test]
    fn faults_of_packages_and_servers_count_for_nothing() {
        let mut setback = Setback::default();
        for kind in [
            FaultKind::FetchFailed,
            FaultKind::InputsUnavailable,
            FaultKind::OutOfMemory,
            FaultKind::WorkerLost,
            FaultKind::Cancelled,
            FaultKind::TimedOut(crate::protocol::Stage::Build),
        ] {
            for _ in 0..20 {
                assert!(setback.failed(at(0), &fault(kind)).is_none(), "{kind}");
            }
        }
    }
}
