use core::fmt;

use rebuilder_actors::planted::Bug;
use rebuilder_actors::protocol::Sha256;

/// How much of the system is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The pure part: queue and workers as state machines.
    Core,
    /// The production actors over simulated datagrams.
    Cluster,
}

impl Level {
    /// What its lengths are measured in.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Core => "days",
            Self::Cluster => "minutes",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Core => "core",
            Self::Cluster => "cluster",
        })
    }
}

/// What is simulated: the same plan, the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Makes the world.
    pub seed: u64,
    /// How much of the system.
    pub level: Level,
    /// `None`: drawn from the seed.
    pub workers: Option<u16>,
    /// Time of trouble before everything heals, in the level's unit; `None`: its usual one.
    pub length: Option<u32>,
    /// Exactly these; `None`: drawn from the seed.
    pub faults: Option<Vec<String>>,
    /// A bug on purpose; `None`: the system as it is.
    pub bug: Option<Bug>,
    /// Compare with the oracle after every event; a level without one ignores it.
    pub oracle: bool,
    /// Keep every line of the trace.
    pub trace: bool,
    /// Digest the trace.
    pub digest: bool,
}

impl Plan {
    /// A seed's usual world.
    pub fn of(level: Level, seed: u64) -> Self {
        Self {
            seed,
            level,
            workers: None,
            length: None,
            faults: None,
            bug: None,
            oracle: true,
            trace: false,
            digest: false,
        }
    }

    /// The command that runs the same again.
    pub fn command(&self) -> String {
        let mut command = format!("cargo sim run --level {} --seed {}", self.level, self.seed);
        if let Some(workers) = self.workers {
            command += &format!(" --workers {workers}");
        }
        if let Some(length) = self.length {
            command += &format!(" --{} {length}", self.level.unit());
        }
        if let Some(names) = &self.faults {
            let names = if names.is_empty() { "none".to_owned() } else { names.join(",") };
            command += &format!(" --faults {names}");
        }
        if let Some(bug) = self.bug {
            command += &format!(" --plant {bug}");
        }
        if !self.oracle {
            command += " --no-oracle";
        }
        command
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Things that happened.
    pub events: u64,
    /// Virtual time that passed, milliseconds.
    pub simulated_ms: u64,
    /// Accepted verdicts.
    pub builds: u64,
    /// Restarts of the coordinator.
    pub restarts: u64,
    /// What the seed drew, one line for people.
    pub drawn: String,
    /// SHA-256 over the lines of the trace; `None` unless asked for.
    pub digest: Option<Sha256>,
    /// The broken property; `None`: all hold.
    pub failure: Option<Failure>,
    /// Empty unless asked for.
    pub trace: Vec<String>,
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which checker found it.
    pub checker: String,
    /// When, milliseconds of virtual time since the start.
    pub at_ms: u64,
    /// What is wrong.
    pub text: String,
}
