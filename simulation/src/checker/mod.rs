//! Properties of the whole system, one a file. Both levels of the simulation use them all.

mod acknowledged_reports_survive;
mod dropped_versions_stop;
mod duplicates_only_after_lost_leases;
mod farm;
mod fault_is_never_a_verdict;
mod healed_system_finishes;
mod lease_is_exclusive;
mod memory_is_bounded;
mod no_job_is_lost_or_stuck;
mod no_progress_is_noticed;
mod priority_order_is_kept;
mod reproduced_means_equal_digests;
mod retries_follow_the_policy;
mod scopes_do_not_touch;
mod spool_drains;
mod verdict_needs_lease_and_signature;

use rebuilder_actors::domain::queue::Settings;

use crate::observation::{End, Observation};

/// One property.
pub trait Checker: Send {
    /// How it is called.
    fn name(&self) -> &'static str;

    /// Whether it needs to see every [`Observation::Heard`]: most of all that happens is that.
    fn hears(&self) -> bool {
        false
    }

    /// Sees what happened at `now` (milliseconds of the true clock since the start).
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
        Box::new(dropped_versions_stop::DroppedVersionsStop::default()),
        Box::new(duplicates_only_after_lost_leases::DuplicatesOnlyAfterLostLeases::default()),
        Box::new(fault_is_never_a_verdict::FaultIsNeverAVerdict::default()),
        Box::new(lease_is_exclusive::LeaseIsExclusive::default()),
        Box::new(memory_is_bounded::MemoryIsBounded),
        Box::new(no_job_is_lost_or_stuck::NoJobIsLostOrStuck::default()),
        Box::new(no_progress_is_noticed::NoProgressIsNoticed::default()),
        Box::new(priority_order_is_kept::PriorityOrderIsKept::default()),
        Box::new(reproduced_means_equal_digests::ReproducedMeansEqualDigests::default()),
        Box::new(retries_follow_the_policy::RetriesFollowThePolicy::default()),
        Box::new(scopes_do_not_touch::ScopesDoNotTouch::default()),
        Box::new(spool_drains::SpoolDrains::default()),
        Box::new(verdict_needs_lease_and_signature::VerdictNeedsLeaseAndSignature::default()),
        // Last: that it did not finish says the least about why.
        Box::new(healed_system_finishes::HealedSystemFinishes),
    ]
}
