use core::ops::Deref;
use std::collections::BTreeMap;

use rebuilder_actors::protocol::InputId;

use super::job::Job;

/// All jobs. Whoever takes one to change it leaves a note: after an event that took none and wrote
/// nothing there is nothing to compare.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    all: BTreeMap<InputId, Job>,
    pub(super) touched: bool,
}

impl Jobs {
    pub(super) fn get_mut(&mut self, id: &InputId) -> Option<&mut Job> {
        self.touched = true;
        self.all.get_mut(id)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Job> {
        self.touched = true;
        self.all.values_mut()
    }

    pub(super) fn insert(&mut self, id: InputId, job: Job) {
        self.touched = true;
        self.all.insert(id, job);
    }

    /// To change only what is never written, as a lease's time.
    pub(super) fn unwritten(&mut self, id: &InputId) -> Option<&mut Job> {
        self.all.get_mut(id)
    }

    /// To change only what is never written, as that a job is ready.
    pub(super) fn unwritten_mut(&mut self) -> impl Iterator<Item = &mut Job> {
        self.all.values_mut()
    }
}

impl Deref for Jobs {
    type Target = BTreeMap<InputId, Job>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}
