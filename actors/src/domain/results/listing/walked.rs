use core::marker::PhantomData;

use super::super::query::{Page, Query};
use super::super::read_model::{EXAMINED_MAX, ReadModel};
use super::super::view::View;
use super::rows::Listed;
use super::which::Which;
use crate::domain::filter::FilterError;
use crate::protocol::stored::Membership;
use crate::protocol::{ArtifactId, InputId, SourceId};

/// An order that is kept, so that a page costs what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ascending numbers; several rows may have one.
    Id,
    /// By name, then by number.
    Name,
}

/// A place in an order; the name is empty where the order is by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Of the row.
    pub name: Box<str>,
    /// Of the row.
    pub id: i32,
}

/// Rows in a kept order.
#[derive(Clone, Debug)]
pub struct Walk<L> {
    /// Rows that it does not fit are passed over.
    pub which: Which,
    /// In which order.
    pub order: Order,
    /// From the last one.
    pub descending: bool,
    /// Only rows behind this place, in ascending order.
    pub above: Option<Place>,
    /// Only rows before this place, in ascending order.
    pub below: Option<Place>,
    kind: PhantomData<L>,
}

impl<L: Listed> Walk<L> {
    /// All of these, ascending.
    pub fn new(which: Which, order: Order) -> Self {
        Self { which, order, descending: false, above: None, below: None, kind: PhantomData }
    }

    /// The place of a row that somebody wants, if there is one with this number.
    pub fn place(model: &ReadModel, order: Order, id: i32) -> Option<Place> {
        let found = model.jobs_with::<L>(id).find_map(|job| {
            let view = model.jobs.get(&job)?;
            let memberships = view.job.memberships();
            let entries = L::entries(view, &memberships, &Which::default());
            let entry = entries.into_iter().find(|entry| entry.id == id)?;
            Some(Box::from(L::name(view, &memberships, entry)))
        });
        match order {
            Order::Id => Some(Place { name: Box::default(), id }),
            Order::Name => found.map(|name| Place { name, id }),
        }
    }

    /// The bounds of what is left of the walk behind `after`.
    fn bounds(&self, after: Option<Place>) -> (Option<Place>, Option<Place>) {
        let (mut above, mut below) = (self.above.clone(), self.below.clone());
        if self.descending {
            below = below.into_iter().chain(after).min();
        } else {
            above = above.into_iter().chain(after).max();
        }
        (above, below)
    }
}

impl<L: Listed> Query for Walk<L> {
    type Row = L;
    type Cursor = Place;

    fn page(
        &self,
        model: &ReadModel,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page<L, Place>, FilterError> {
        let (above, below) = self.bounds(after);
        let mut pages = Pages::<L> { walk: self, model, limit, rows: Vec::new(), examined: 0 };
        let next = match self.order {
            Order::Id => pages.by_id(above.map(|p| p.id), below.map(|p| p.id)),
            Order::Name => pages.by_name(above.as_ref(), below.as_ref()),
        };
        Ok(Page { rows: pages.rows, next })
    }
}

struct Pages<'a, L> {
    walk: &'a Walk<L>,
    model: &'a ReadModel,
    limit: usize,
    rows: Vec<L>,
    /// Jobs that were unpacked: at most [`EXAMINED_MAX`] for a page.
    examined: usize,
}

impl<L: Listed> Pages<'_, L> {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit || self.examined >= EXAMINED_MAX
    }

    /// Adds the rows of a job that lie in the bounds and are `wanted`, by number.
    fn add(
        &mut self,
        view: &View,
        memberships: &[Membership],
        wanted: impl Fn(i32, &str) -> bool,
    ) -> Option<i32> {
        self.examined += 1;
        let mut entries = L::entries(view, memberships, &self.walk.which);
        if self.walk.descending {
            entries.reverse();
        }
        let mut last = None;
        for entry in entries {
            if wanted(entry.id, L::name(view, memberships, entry)) {
                // All inputs of one source package have its number: they are not torn apart.
                if L::OF_ARTIFACTS && self.rows.len() >= self.limit {
                    return last;
                }
                self.rows.push(L::row(self.model, view, memberships, entry));
                last = Some(entry.id);
            }
        }
        None
    }

    fn by_id(&mut self, above: Option<i32>, below: Option<i32>) -> Option<Place> {
        let at = |id| Place { name: Box::default(), id };
        let mut spans = self.model.spans::<L>(above, below, self.walk.descending).peekable();
        while let Some((first, end, job)) = spans.next() {
            let Some(view) = self.model.jobs.get(&job) else { continue };
            let memberships = view.job.memberships();
            let wanted = |id: i32, _: &str| {
                id >= first
                    && end.is_none_or(|end| id < end)
                    && above.is_none_or(|above| id > above)
                    && below.is_none_or(|below| id < below)
            };
            if let Some(last) = self.add(view, &memberships, wanted) {
                return Some(at(last));
            }
            if self.is_full() && spans.peek().is_some_and(|(next, ..)| *next != first) {
                // Behind all that this span can hold.
                let last = if self.walk.descending { first } else { end.map_or(i32::MAX, before) };
                return Some(at(last));
            }
        }
        None
    }

    fn by_name(&mut self, above: Option<&Place>, below: Option<&Place>) -> Option<Place> {
        let catalogue = &self.model.kept.catalogue;
        let from = above.map_or("", |place| &place.name);
        let to = below.map(|place| &*place.name);
        let named: Box<dyn Iterator<Item = (&str, &[InputId])>> = if self.walk.descending {
            Box::new(catalogue.names_to(to).take_while(move |(name, _)| *name >= from))
        } else {
            let is_before = move |name: &str| to.is_none_or(|to| name <= to);
            Box::new(catalogue.names_from(from).take_while(move |(name, _)| is_before(name)))
        };
        let mut named = named.peekable();
        while let Some((name, jobs)) = named.next() {
            if let Some(place) = self.one_name(name, jobs, (above, below)) {
                return Some(place);
            }
            if self.is_full() && named.peek().is_some() {
                let id = if self.walk.descending { i32::MIN } else { i32::MAX };
                return Some(Place { name: name.into(), id });
            }
        }
        None
    }

    /// All rows of one name: those of several jobs are sorted together.
    fn one_name(
        &mut self,
        name: &str,
        jobs: &[InputId],
        (above, below): (Option<&Place>, Option<&Place>),
    ) -> Option<Place> {
        let mut found = Vec::new();
        for job in jobs {
            let Some(view) = self.model.jobs.get(job) else { continue };
            self.examined += 1;
            let memberships = view.job.memberships();
            for entry in L::entries(view, &memberships, &self.walk.which) {
                let id = entry.id;
                let is_above = above.is_none_or(|place| (name, id) > (&*place.name, place.id));
                let is_below = below.is_none_or(|place| (name, id) < (&*place.name, place.id));
                if is_above && is_below && L::name(view, &memberships, entry) == name {
                    found.push((id, *job));
                }
            }
        }
        found.sort_unstable();
        if self.walk.descending {
            found.reverse();
        }
        let mut last = None;
        for (id, job) in found {
            if self.rows.len() >= self.limit && last != Some(id) {
                return last.map(|id| Place { name: name.into(), id });
            }
            let Some(view) = self.model.jobs.get(&job) else { continue };
            let memberships = view.job.memberships();
            let entries = L::entries(view, &memberships, &self.walk.which);
            let entry = entries.into_iter().find(|entry| entry.id == id);
            self.rows.extend(entry.map(|entry| L::row(self.model, view, &memberships, entry)));
            last = Some(id);
        }
        None
    }
}

fn before(id: i32) -> i32 {
    id.saturating_sub(1)
}

/// Numbers from the first of these on, below the second, that only this job has.
type Span = (i32, Option<i32>, InputId);

impl ReadModel {
    /// Jobs that may have the row with this number.
    fn jobs_with<L: Listed>(&self, id: i32) -> impl Iterator<Item = InputId> {
        self.spans::<L>(Some(before(id)), id.checked_add(1), false).map(|(_, _, job)| job)
    }

    fn spans<L: Listed>(
        &self,
        above: Option<i32>,
        below: Option<i32>,
        descending: bool,
    ) -> Box<dyn Iterator<Item = Span> + '_> {
        let catalogue = &self.kept.catalogue;
        if L::OF_ARTIFACTS {
            let runs = catalogue.runs(above.map(ArtifactId), below.map(ArtifactId));
            let span = |(first, job): (ArtifactId, InputId)| {
                (first.0, catalogue.end_of(first).map(|end| end.0), job)
            };
            return if descending {
                Box::new(runs.rev().map(span))
            } else {
                Box::new(runs.map(span))
            };
        }
        let sources = catalogue.sources(above.map(SourceId), below.map(SourceId));
        let span = |(id, job): (SourceId, InputId)| (id.0, id.0.checked_add(1), job);
        if descending { Box::new(sources.rev().map(span)) } else { Box::new(sources.map(span)) }
    }
}
