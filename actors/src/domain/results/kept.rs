use super::catalogue::Catalogue;
use super::index::Index;
use super::origins::Origins;
use super::tally::Tally;
use super::view::View;
use crate::domain::queue::Job;
use crate::protocol::stored::Membership;

/// What is kept of all jobs, so that nobody looks at each: sums and orders, into which a job is
/// taken, and out of which it is taken as it was before it changes.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) tally: Tally,
    pub(super) index: Index,
    pub(super) catalogue: Catalogue,
    pub(super) origins: Origins,
}

impl Kept {
    /// Takes in what a job is, or takes it out; `memberships` are its own, unpacked once for all.
    pub(super) fn job(&mut self, job: &Job, memberships: &[Membership], in_: bool) {
        self.index.job(job, memberships, in_);
        self.catalogue.job(job, memberships, in_);
    }

    /// Takes in what is shown of a job, or takes it out; `memberships` are its own.
    pub(super) fn shown(&mut self, view: &View, memberships: &[Membership], in_: bool) {
        self.tally.count(view, memberships, in_);
        self.index.statuses(view, memberships, in_);
        self.origins.count(view, memberships, in_);
    }
}
