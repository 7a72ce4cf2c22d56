use core::fmt;
use std::collections::BTreeMap;

use crate::random::Random;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident = $name:literal;)+) => {
        /// A kind of trouble.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Trouble {
            $($(#[doc = $doc])+ $fault,)+
        }

        impl Trouble {
            /// Every one.
            pub(super) const ALL: &[Self] = &[$(Self::$fault),+];

            /// As it is called on a command line.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$fault => $name),+ }
            }

            /// What happens, for people.
            pub(super) fn about(self) -> &'static str {
                match self { $(Self::$fault => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

faults! {
    /// A worker's process ends and begins again; its spool stays.
    WorkerCrash = "worker-crash";
    /// The coordinator's process ends and begins again, from what is durable.
    CoordinatorCrash = "coordinator-crash";
    /// A connection breaks, and each side learns it in its time.
    Cut = "cut";
    /// Messages take up to 20 seconds.
    SlowNetwork = "slow-network";
    /// A worker is heard by nobody for up to an hour while its connection lasts.
    Silence = "silence";
    /// Reports arrive twice.
    Duplicate = "duplicate";
    /// A commit takes up to 5 seconds.
    SlowDisk = "slow-disk";
    /// A commit fails: the coordinator ends, and nobody knows what is durable.
    BrokenDisk = "broken-disk";
    /// The wall clock of the coordinator steps up to 6 hours, both ways.
    ClockStep = "clock-step";
    /// Builds end with problems of ours.
    BrokenBuild = "build-fault";
    /// Builds need more memory than some workers have.
    Memory = "memory";
    /// Builds take eight times as long.
    SlowBuild = "slow-build";
    /// Builds hang until the limit of their stage.
    HangBuild = "hang-build";
    /// A worker reports what it was not granted, did not build, or another one built.
    Lie = "lie";
    /// A second process has a worker's key.
    Clone = "clone";
    /// A report makes the coordinator panic and is set aside.
    Poison = "poison";
    /// The distribution publishes new versions and files, and takes some back.
    Publish = "publish";
    /// The mirror answers nobody for up to 8 hours.
    MirrorOutage = "mirror-outage";
    /// The hand-over of an index to the queue breaks off half-way.
    HalfSync = "half-sync";
    /// The coordinator does nothing for up to half an hour, and then takes in what came.
    Stall = "stall";
    /// An operator pushes and drops jobs.
    Operator = "operator";
    /// For a day, every build of a worker ends in a fault of its machine.
    BrokenMachine = "broken-machine";
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which trouble there is, and how much of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults(BTreeMap<Trouble, u64>);

impl Faults {
    /// What a seed draws: each fault in two of three cases, and how often. `only` names them
    /// instead; how often each strikes is drawn all the same, so that to leave one out changes
    /// nothing about the others.
    pub(super) fn draw(seed: u64, only: Option<&[String]>) -> Self {
        let mut drawn = BTreeMap::new();
        for fault in Trouble::ALL {
            let mut random = Random::new(seed, fault.name());
            let (on, strength) = (random.percent(66), random.of(1..4));
            if only.map_or(on, |only| only.iter().any(|name| name == fault.name())) {
                drawn.insert(*fault, strength);
            }
        }
        Self(drawn)
    }

    /// 0: never; 1: seldom; 2: usual; 3: often.
    pub(super) fn strength(&self, fault: Trouble) -> u64 {
        self.0.get(&fault).copied().unwrap_or(0)
    }

    /// True when there is this trouble.
    pub(super) fn has(&self, fault: Trouble) -> bool {
        self.0.contains_key(&fault)
    }

    /// Names of those that there are.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().map(|fault| fault.name().to_owned()).collect()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (n, (fault, strength)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let often = ["never", "seldom", "usual", "often"];
            let often = usize::try_from(*strength).ok().and_then(|n| often.get(n));
            write!(f, "{comma}{fault} ({})", often.unwrap_or(&"often"))?;
        }
        Ok(())
    }
}
