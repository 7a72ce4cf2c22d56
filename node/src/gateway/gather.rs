//! The figures of a moment, from what readers are shown.

use rebuilder_actors::actor::coordinator::{Gone, Services};
use rebuilder_actors::domain::results::{Profiles, ReadModel, Troubles, Workers};
use rebuilder_actors::protocol::wire::v1::ctl::{Profile, Subject, Trouble, Worker};

use super::figures::{Figures, OfProfile, OfWorkers};

/// Everything that is told.
///
/// # Errors
/// The coordinator is being started again.
pub(super) async fn gather(services: &Services) -> Result<Figures, Gone> {
    let (views, now) = (&services.views, services.clock.utc());
    let counts =
        |model: &ReadModel| (model.job_counts(now), model.counts(), model.unread_stanzas());
    let (jobs, artifacts, unread) = views.look_at(now, counts).await?;
    let mut workers = OfWorkers::default();
    let count = |worker: Worker| match (worker.revoked, worker.address) {
        (true, _) => workers.revoked += 1,
        (false, Some(_)) => {
            workers.connected += 1;
            workers.slots += u64::from(worker.slots);
        }
        (false, None) => workers.absent += 1,
    };
    views.each(&Workers, count).await.map_err(|_| Gone)?;
    let mut troubles = 0;
    let each = |trouble: Trouble| troubles += u64::from(is_of_worker(&trouble));
    views.each(&Troubles { now }, each).await.map_err(|_| Gone)?;
    workers.troubles = troubles;
    let mut profiles = Vec::new();
    let each = |profile: Profile| {
        let unread = unread.get(profile.name.as_str()).copied().unwrap_or(0);
        profiles.push(OfProfile {
            jobs: profile.jobs.into(),
            artifacts: profile.artifacts.into(),
            synced_at: profile.synced_at,
            failed: profile.error.is_some(),
            unread,
            name: profile.name,
        });
    };
    views.each(&Profiles, each).await.map_err(|_| Gone)?;
    let quarantined = services.quarantine.records().len() as u64;
    Ok(Figures { now, jobs, artifacts, workers, profiles, quarantined })
}

fn is_of_worker(trouble: &Trouble) -> bool {
    matches!(trouble.subject, Subject::Worker(_) | Subject::Leftover(_))
}
