//! Figures in the text format of OpenMetrics.

use core::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text as openmetrics};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rebuilder_actors::protocol::UtcMillis;
use rebuilder_actors::protocol::wire::v1::ctl::{JobCounts, PackageStatus};

/// What is told of a moment.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) now: UtcMillis,
    pub(super) jobs: JobCounts,
    /// Those that there is none of are not named.
    pub(super) artifacts: Vec<(PackageStatus, u32)>,
    pub(super) workers: OfWorkers,
    pub(super) profiles: Vec<OfProfile>,
    /// Messages set aside.
    pub(super) quarantined: u64,
}

/// Workers by what they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfWorkers {
    pub(super) connected: u64,
    pub(super) absent: u64,
    pub(super) revoked: u64,
    /// Of the connected ones.
    pub(super) slots: u64,
    /// Backends that cannot build, times aside, leftovers: each once.
    pub(super) troubles: u64,
}

/// What is told of one profile that is configured or was synced.
#[derive(Clone, Debug)]
pub(super) struct OfProfile {
    pub(super) name: String,
    pub(super) jobs: u64,
    pub(super) artifacts: u64,
    /// `None`: it never was.
    pub(super) synced_at: Option<UtcMillis>,
    /// The last sync failed.
    pub(super) failed: bool,
    /// Stanzas of its indexes that cannot be read.
    pub(super) unread: u64,
}

/// As it is served.
pub(super) fn text(figures: Figures) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    openmetrics::encode(&mut text, &registry).expect("a text takes all that is written");
    text
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let jobs = &self.jobs;
        let places = [
            ("ready", jobs.ready),
            ("delayed", jobs.delayed),
            ("running", jobs.running),
            ("parked", jobs.parked),
            ("decided", jobs.decided),
            ("dropped", jobs.dropped),
        ];
        let places = places.map(|(place, count)| (place, u64::from(count)));
        gauges(&mut encoder, "rebuilder_jobs", "Wanted jobs by where they are", "place", &places)?;
        let artifacts = PackageStatus::ALL.map(|status| {
            let counted = self.artifacts.iter().find(|(known, _)| *known == status);
            (status.word(), counted.map_or(0, |(_, count)| u64::from(*count)))
        });
        let help = "Wanted artifacts by what is known about them";
        gauges(&mut encoder, "rebuilder_artifacts", help, "status", &artifacts)?;
        let OfWorkers { connected, absent, revoked, slots, troubles } = self.workers;
        let states = [("connected", connected), ("absent", absent), ("revoked", revoked)];
        gauges(&mut encoder, "rebuilder_workers", "Enrolled workers", "state", &states)?;
        one(&mut encoder, "rebuilder_worker_slots", "Slots of connected workers", slots)?;
        let help = "What is wrong with workers, as `rebuilder-ctl status` names it";
        one(&mut encoder, "rebuilder_worker_troubles", help, troubles)?;
        let help = "Messages set aside, as they made the coordinator panic";
        one(&mut encoder, "rebuilder_quarantined", help, self.quarantined)?;
        self.profiles(&mut encoder)
    }
}

impl Figures {
    fn profiles(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let of = |figure: &dyn Fn(&OfProfile) -> Option<u64>| -> Vec<(&str, u64)> {
            let rows = self.profiles.iter();
            rows.filter_map(|profile| Some((profile.name.as_str(), figure(profile)?))).collect()
        };
        let age = |profile: &OfProfile| {
            let ms = self.now.0.saturating_sub(profile.synced_at?.0).max(0);
            Some(ms.unsigned_abs() / 1000)
        };
        let figures = [
            ("rebuilder_profile_jobs", "Jobs that a profile wants", of(&|p| Some(p.jobs))),
            ("rebuilder_profile_artifacts", "Artifacts of these", of(&|p| Some(p.artifacts))),
            ("rebuilder_profile_sync_age_seconds", "Since the last sync that succeeded", of(&age)),
            (
                "rebuilder_profile_sync_failed",
                "1: the last sync failed",
                of(&|p| Some(p.failed.into())),
            ),
            (
                "rebuilder_profile_unreadable_stanzas",
                "Stanzas of its indexes that were skipped, as they cannot be read",
                of(&|p| Some(p.unread)),
            ),
        ];
        for (name, help, rows) in figures {
            gauges(encoder, name, help, "profile", &rows)?;
        }
        Ok(())
    }
}

/// One figure for each value of a label.
fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    rows: &[(&str, u64)],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, figure) in rows {
        let labels = [(label, *value)];
        ConstGauge::new(*figure).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn one(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    figure: u64,
) -> Result<(), fmt::Error> {
    let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(figure).encode(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_told_whatever_a_profile_is_called() {
        let figures = Figures {
            now: UtcMillis(90_000),
            jobs: JobCounts { ready: 3, parked: 1, ..JobCounts::default() },
            artifacts: vec![(PackageStatus::Differs, 2)],
            workers: OfWorkers { connected: 1, slots: 4, ..OfWorkers::default() },
            profiles: vec![
                OfProfile {
                    name: "a\"\n\\b".into(),
                    jobs: 1,
                    artifacts: 2,
                    synced_at: Some(UtcMillis(30_000)),
                    failed: true,
                    unread: 7,
                },
                OfProfile {
                    name: "never".into(),
                    jobs: 0,
                    artifacts: 0,
                    synced_at: None,
                    failed: false,
                    unread: 0,
                },
            ],
            quarantined: 0,
        };
        let text = text(figures);
        for line in [
            "rebuilder_jobs{place=\"ready\"} 3",
            "rebuilder_artifacts{status=\"differs\"} 2",
            "rebuilder_artifacts{status=\"reproduced\"} 0",
            "rebuilder_workers{state=\"connected\"} 1",
            "rebuilder_worker_slots 4",
            "rebuilder_profile_sync_age_seconds{profile=\"a\\\"\\n\\\\b\"} 60",
            "rebuilder_profile_unreadable_stanzas{profile=\"a\\\"\\n\\\\b\"} 7",
            "rebuilder_profile_sync_failed{profile=\"never\"} 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|said| said == line), "{line}\n{text}");
        }
        let never = "rebuilder_profile_sync_age_seconds{profile=\"never\"}";
        assert!(!text.contains(never), "{text}");
    }
}
