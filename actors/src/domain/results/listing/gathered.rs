use core::marker::PhantomData;

use super::super::index::Candidates;
use super::super::query::{Page, Query};
use super::super::read_model::{EXAMINED_MAX, ReadModel};
use super::rows::Listed;
use super::which::Which;
use crate::domain::filter::FilterError;
use crate::protocol::InputId;

/// What a row is found and sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What it is sorted by.
    pub name: Box<str>,
    /// Of an artifact or of a source package, as `L` is.
    pub id: i32,
    /// To fetch the row without looking for it.
    pub job: InputId,
}

/// The keys of all rows that match, job by job.
#[derive(Clone, Debug)]
pub struct Gather<L> {
    /// Every row that it fits is met.
    pub which: Which,
    kind: PhantomData<L>,
}

impl<L> Gather<L> {
    /// Those that fit, in the order of their jobs.
    pub fn new(which: Which) -> Self {
        Self { which, kind: PhantomData }
    }
}

impl<L: Listed> Query for Gather<L> {
    type Row = Key;
    type Cursor = InputId;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<InputId>,
        limit: usize,
    ) -> Result<Page<Key>, FilterError> {
        let hint = self.which.hint(L::OF_ARTIFACTS);
        let (mut rows, mut examined) = (Vec::new(), 0);
        for view in model.candidates(core::slice::from_ref(&hint), after) {
            let memberships = view.job.memberships();
            for entry in L::entries(view, &memberships, &self.which) {
                let name = L::name(view, &memberships, entry).into();
                rows.push(Key { name, id: entry.id, job: view.job.id });
            }
            examined += 1;
            if rows.len() >= limit || examined >= EXAMINED_MAX {
                return Ok(Page { rows, next: Some(view.job.id) });
            }
        }
        Ok(Page { rows, next: None })
    }
}

impl ReadModel {
    /// At most how many jobs a [`Gather`] looks at; as many as `bound` where there are more.
    pub fn breadth<L: Listed>(&self, which: &Which, bound: usize) -> usize {
        let hint = which.hint(L::OF_ARTIFACTS);
        match self.kept.index.candidates(&self.kept.catalogue, &hint) {
            Candidates::Nothing => 0,
            Candidates::Every => self.jobs.len().min(bound),
            Candidates::Of(ids) => ids.len().min(bound),
            Candidates::Named(ids) => ids.len().min(bound),
        }
    }
}

/// The rows with these keys, in their order; those that are gone by now are left out.
pub fn fetch<L: Listed>(model: &ReadModel, keys: &[Key]) -> Vec<L> {
    let every = Which::default();
    let rows = keys.iter().filter_map(|key| {
        let view = model.jobs.get(&key.job)?;
        let memberships = view.job.memberships();
        let entry = L::entries(view, &memberships, &every).into_iter().find(|e| e.id == key.id)?;
        Some(L::row(model, view, &memberships, entry))
    });
    rows.collect()
}
