use rebuilder_actors::domain::queue::Settings;
use rebuilder_actors::protocol::stored::{self, JobRecord, JobState, Record, StoredPlace};

use super::Checker;
use crate::observation::{End, Observation};

/// Once the trouble is over every wanted job is decided or was dropped, and no report waits.
pub(super) struct HealedSystemFinishes;

impl Checker for HealedSystemFinishes {
    fn name(&self) -> &'static str {
        "healed_system_finishes"
    }

    fn observe(&mut self, _: u64, _: &Settings, _: &Observation) -> Result<(), String> {
        Ok(())
    }

    fn finish(&mut self, end: &End) -> Result<(), String> {
        if end.spooled > 0 {
            return Err(format!("{} reports were never answered", end.spooled));
        }
        for (key, value) in end.durable.iter().filter(|(key, _)| key[0] == JobRecord::TABLE) {
            let job: JobRecord = stored::read(value).map_err(|e| e.to_string())?;
            let mut state = key.clone();
            state[0] = JobState::TABLE;
            let state = end.durable.get(&state).ok_or("a job has no state")?;
            let state: JobState = stored::read(state).map_err(|e| e.to_string())?;
            let finished = matches!(state.place, StoredPlace::Decided | StoredPlace::Dropped);
            if !job.memberships.is_empty() && !finished {
                return Err(format!("{} {} is {:?}", job.key.source, job.key.version, state.place));
            }
        }
        Ok(())
    }
}
