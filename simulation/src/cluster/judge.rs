use core::time::Duration;

use rebuilder_actors::domain::queue::Settings;

use super::property::{self, Property};
use super::sight::Sight;
use super::world::Node;
use crate::checker::{Checker, all};
use crate::core::{End, Observation};

/// All properties, and what they have seen.
pub(super) struct Judge {
    checkers: Vec<Box<dyn Checker>>,
    properties: Vec<Box<dyn Property>>,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self { checkers: all(), properties: property::all() }
    }

    /// Shows every one what happened at `ms` of the true clock.
    pub(super) fn observe(
        &mut self,
        ms: u64,
        settings: &Settings,
        observation: &Observation,
    ) -> Result<(), String> {
        for checker in &mut self.checkers {
            let seen = checker.observe(ms, settings, observation);
            seen.map_err(|broken| format!("{}: {broken}", checker.name()))?;
        }
        for property in &mut self.properties {
            let seen = property.observe(observation);
            seen.map_err(|broken| format!("{}: {broken}", property.name()))?;
        }
        Ok(())
    }

    /// Shows the cluster's own what only they can see.
    pub(super) fn see(&mut self, at: Duration, node: Node, sight: &Sight) -> Result<(), String> {
        for property in &mut self.properties {
            let seen = property.see(at, node, sight);
            seen.map_err(|broken| format!("{}: {broken}", property.name()))?;
        }
        Ok(())
    }

    /// Shows every one how it ended.
    pub(super) fn finish(&mut self, end: &End) -> Result<(), String> {
        for checker in &mut self.checkers {
            let seen = checker.finish(end);
            seen.map_err(|broken| format!("at the end: {}: {broken}", checker.name()))?;
        }
        for property in &mut self.properties {
            let seen = property.finish(end);
            seen.map_err(|broken| format!("at the end: {}: {broken}", property.name()))?;
        }
        Ok(())
    }
}
