use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident = $name:literal;)+) => {
        /// A kind of trouble.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[doc = $doc])+ $fault,)+
        }

        impl Fault {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$fault),+];

            /// As it is called on a command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$fault => $name),+ }
            }

            /// What happens, for people.
            pub fn about(self) -> &'static str {
                match self { $(Self::$fault => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

faults! {
    /// Datagrams take long, now and then very long.
    Latency = "latency";
    /// Datagrams get lost.
    Loss = "loss";
    /// Datagrams arrive twice.
    Duplicates = "duplicates";
    /// Datagrams overtake each other.
    Reordering = "reordering";
    /// A node cannot be reached, nor reach anybody.
    Partitions = "partitions";
    /// A node reaches others and hears nothing, or the other way round.
    OneWay = "one-way";
    /// The coordinator's machine loses power.
    CoordinatorCrashes = "coordinator-crashes";
    /// Workers' machines lose power.
    WorkerCrashes = "worker-crashes";
    /// Power is lost inside a call of a disk.
    DiskCrashes = "disk-crashes";
    /// Disks take their time.
    SlowDisks = "slow-disks";
    /// Disks have no space left for a while.
    FullDisks = "full-disks";
    /// Disks answer with errors.
    DiskErrors = "disk-errors";
    /// Wall clocks are set to another time.
    ClockSteps = "clock-steps";
    /// Clocks run too fast or too slow.
    ClockSkew = "clock-skew";
    /// The mirror cannot be reached, or breaks off half way.
    MirrorOutages = "mirror-outages";
    /// The distribution publishes and withdraws packages.
    Publishing = "publishing";
    /// An operator pushes and drops jobs, and asks for syncs.
    Operators = "operators";
    /// Attempts end in faults of a machine.
    FaultyBuilders = "faulty-builders";
    /// Some builds take very long.
    SlowBuilders = "slow-builders";
    /// Some builds never end by themselves.
    HangingBuilders = "hanging-builders";
    /// Some builds take the worker's own code down.
    CrashingBuilders = "crashing-builders";
    /// A worker signs what it did not build.
    LyingWorkers = "lying-workers";
    /// Some logs are large.
    LargeLogs = "large-logs";
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.iter().find(|fault| fault.name() == name);
        found.copied().ok_or_else(|| UnknownFault(name.into()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No fault has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault `{0}`; there are: {names}", names = names())]
pub struct UnknownFault(pub String);

fn names() -> String {
    let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    names.join(", ")
}

/// Names between commas; nothing is no fault.
///
/// # Errors
/// A name that no fault has.
pub fn parse_faults(names: &str) -> Result<BTreeSet<Fault>, UnknownFault> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_by_their_names_and_others_are_named() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(*fault));
        }
        assert_eq!(parse_faults("loss, latency,").unwrap().len(), 2);
        assert_eq!(parse_faults("").unwrap().len(), 0);
        let error = parse_faults("loss,floods").unwrap_err().to_string();
        assert!(error.starts_with("there is no fault `floods`; there are: latency, "), "{error}");
    }
}
