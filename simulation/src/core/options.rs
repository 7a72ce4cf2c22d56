use rebuilder_actors::protocol::Sha256;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// Makes the world.
    pub seed: u64,
    /// Workers; `None`: drawn from the seed.
    pub workers: Option<u8>,
    /// Days of trouble before everything heals.
    pub days: u32,
    /// Keep every observation as a line.
    pub trace: bool,
}

impl Options {
    /// A seed's usual world.
    pub fn of(seed: u64) -> Self {
        Self { seed, workers: None, days: 3, trace: false }
    }

    /// The command that runs the same again.
    pub fn command(&self) -> String {
        let workers = self.workers.map(|n| format!(" --workers {n}")).unwrap_or_default();
        format!("cargo sim run --seed {}{workers} --days {}", self.seed, self.days)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Things that happened.
    pub events: u64,
    /// Accepted verdicts.
    pub builds: u64,
    /// Restarts of the coordinator.
    pub restarts: u64,
    /// Over all observations in order: the same for the same seed.
    pub digest: Sha256,
    /// The broken property; `None`: all hold.
    pub failure: Option<String>,
    /// Empty unless asked for.
    pub trace: Vec<String>,
}
