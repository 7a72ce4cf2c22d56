//! Properties of the whole system, one a file.

mod acknowledged_reports_survive;
mod duplicates_only_after_lost_leases;
mod fault_is_never_a_verdict;
mod healed_system_finishes;
mod lease_is_exclusive;
mod no_job_is_lost_or_stuck;
mod retries_follow_the_policy;

use rebuilder_actors::domain::queue::Settings;

use crate::core::{End, Observation};

/// One property.
pub trait Checker: Send {
    /// How it is called.
    fn name(&self) -> &'static str;

    /// Sees what happened at `now` (milliseconds of the true clock).
    ///
    /// # Errors
    /// The property is broken.
    fn observe(
        &mut self,
        now: u64,
        settings: &Settings,
        observation: &Observation,
    ) -> Result<(), String>;

    /// Sees how it ended.
    ///
    /// # Errors
    /// The property is broken.
    fn finish(&mut self, _end: &End) -> Result<(), String> {
        Ok(())
    }
}

/// One of each.
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(acknowledged_reports_survive::AcknowledgedReportsSurvive::default()),
        Box::new(duplicates_only_after_lost_leases::DuplicatesOnlyAfterLostLeases::default()),
        Box::new(fault_is_never_a_verdict::FaultIsNeverAVerdict::default()),
        Box::new(healed_system_finishes::HealedSystemFinishes),
        Box::new(lease_is_exclusive::LeaseIsExclusive::default()),
        Box::new(no_job_is_lost_or_stuck::NoJobIsLostOrStuck::default()),
        Box::new(retries_follow_the_policy::RetriesFollowThePolicy::default()),
    ]
}
