use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use crate::plan::Level;
use crate::random::Random;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident = $name:literal, [$($level:ident),+];)+) => {
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

            /// Which levels have it.
            pub fn levels(self) -> &'static [Level] {
                match self { $(Self::$fault => &[$(Level::$level),+]),+ }
            }
        }
    };
}

faults! {
    /// A worker's process ends and begins again; its spool stays.
    WorkerCrash = "worker-crash", [Core, Cluster];
    /// The coordinator's process ends and begins again, from what is durable.
    CoordinatorCrash = "coordinator-crash", [Core, Cluster];
    /// A connection breaks, and each side learns it in its time.
    Cut = "cut", [Core, Cluster];
    /// Messages take up to 20 seconds.
    SlowNetwork = "slow-network", [Core, Cluster];
    /// A worker is heard by nobody for up to an hour while its connection lasts.
    Silence = "silence", [Core, Cluster];
    /// Reports arrive twice.
    Duplicate = "duplicate", [Core];
    /// A commit takes up to 5 seconds.
    SlowDisk = "slow-disk", [Core, Cluster];
    /// A commit fails: the coordinator ends, and nobody knows what is durable.
    BrokenDisk = "broken-disk", [Core, Cluster];
    /// The wall clock of the coordinator steps up to 6 hours, both ways.
    ClockStep = "clock-step", [Core, Cluster];
    /// Builds end with problems of ours.
    BuildFault = "build-fault", [Core, Cluster];
    /// Builds need more memory than some workers have.
    Memory = "memory", [Core];
    /// Builds take eight times as long.
    SlowBuild = "slow-build", [Core, Cluster];
    /// Builds hang until the limit of their stage.
    HangBuild = "hang-build", [Core, Cluster];
    /// A worker reports what it was not granted, did not build, or another one built.
    Lie = "lie", [Core, Cluster];
    /// A second process has a worker's key.
    Clone = "clone", [Core];
    /// A report makes the coordinator panic and is set aside.
    Poison = "poison", [Core];
    /// The distribution publishes new versions and files, and takes some back.
    Publish = "publish", [Core, Cluster];
    /// The mirror answers nobody for up to 8 hours.
    MirrorOutage = "mirror-outage", [Core, Cluster];
    /// The hand-over of an index to the queue breaks off half-way.
    HalfSync = "half-sync", [Core];
    /// An operator pushes and drops jobs, and asks.
    Operator = "operator", [Core, Cluster];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.iter().find(|fault| fault.name() == name);
        found.copied().ok_or_else(|| UnknownFault(name.into()))
    }
}

/// No fault has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault `{0}`: `cargo sim faults` names them")]
pub struct UnknownFault(pub String);

/// Which trouble there is, and how much of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(BTreeMap<Fault, u64>);

impl Faults {
    /// What a seed draws: each fault of the level in two of three cases, and how often. `only`
    /// names them instead; how often each strikes is drawn all the same, so that to leave one out
    /// changes nothing about the others.
    pub fn draw(seed: u64, level: Level, only: Option<&[Fault]>) -> Self {
        let mut drawn = BTreeMap::new();
        for fault in Fault::ALL.iter().filter(|fault| fault.levels().contains(&level)) {
            let mut random = Random::new(seed, fault.name());
            let (on, strength) = (random.percent(66), random.of(1..4));
            if only.map_or(on, |only| only.contains(fault)) {
                drawn.insert(*fault, strength);
            }
        }
        Self(drawn)
    }

    /// 0: never; 1: seldom; 2: usual; 3: often.
    pub fn strength(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or(0)
    }

    /// True when there is this trouble.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains_key(&fault)
    }

    /// Those that there are.
    pub fn list(&self) -> Vec<Fault> {
        self.0.keys().copied().collect()
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
