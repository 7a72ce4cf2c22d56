macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident = $name:literal;)+) => {
        /// A kind of trouble.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Trouble {
            $($(#[doc = $doc])+ $fault,)+
        }

        impl Trouble {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$fault),+];

            /// True for what others do on purpose; such trouble is drawn from a stream of its own.
            pub fn is_hostile(self) -> bool {
                matches!(
                    self,
                    Self::Strangers | Self::DeafWorkers | Self::StatusFloods | Self::Takeovers
                )
            }

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
    /// Keys without rights take every place that there is.
    Strangers = "strangers";
    /// A worker that was let in does not read.
    DeafWorkers = "deaf-workers";
    /// A worker that was let in sends statuses as fast as it can.
    StatusFloods = "status-floods";
    /// Readers ask many things at once, read no answer and leave, or do not even end to ask.
    Bursts = "bursts";
    /// Another process takes the coordinator's store over while it runs.
    Takeovers = "takeovers";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Trouble::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Trouble::ALL.len());
    }
}
