//! Lists of packages: narrow questions are gathered and sorted here, broad ones are walked in an
//! order that the read model keeps.

use std::collections::BTreeMap;

use rebuilder_actors::actor::coordinator::Services;
use rebuilder_actors::domain::results::ReadModel;
use rebuilder_actors::domain::results::listing::{
    self, Gather, Key, Listed, Order, Place, Walk, Which,
};
use serde::Serialize;

use super::Api;
use super::answer::Failure;
use super::asked::Paging;

/// Rows, and how many there are in all.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    /// Without the limit and the bounds.
    pub(super) total: usize,
    pub(super) records: Vec<T>,
}

impl<T> List<T> {
    /// Of these rows, each in another shape.
    pub(super) fn map<U>(self, shape: impl FnMut(T) -> U) -> List<U> {
        List { total: self.total, records: self.records.into_iter().map(shape).collect() }
    }

    pub(super) fn nothing() -> Self {
        Self { total: 0, records: Vec::new() }
    }
}

/// A row that can be sorted by more than its number and name.
pub(super) trait Sorted: Listed + Send {
    /// Names of the columns, as the peer has them.
    const COLUMNS: &'static [&'static str];

    fn id(&self) -> i32;
    /// What stands in a column of [`Sorted::COLUMNS`].
    fn value(&self, column: &str) -> Value;
    /// How many match a question that counts are kept for.
    fn count(model: &ReadModel, which: &Which) -> u32;
}

/// What a column holds; nothing comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Nothing,
    Number(i64),
    Text(String),
}

impl Value {
    pub(super) fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.to_owned()))
    }

    pub(super) fn number(number: Option<impl Into<i64>>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number.into()))
    }
}

/// Jobs that are gathered whole rather than walked in order.
const NARROW: usize = 500;
/// Rows that are sorted by a column of which no order is kept.
const SORTED_MAX: usize = 20_000;
/// Rows that are looked at in one turn.
const TURN: usize = 200;

/// A part of the list of all that match; `None` matches nothing.
pub(super) async fn page<L: Sorted>(
    api: &Api,
    which: Option<Which>,
    paging: &Paging,
) -> Result<List<L>, Failure> {
    let Some(which) = which else { return Ok(List::nothing()) };
    let services = &api.services().await?;
    let order = match paging.sort.as_deref() {
        None | Some("id") => Some(Order::Id),
        Some("name") => Some(Order::Name),
        Some(column) if L::COLUMNS.contains(&column) => None,
        Some(column) => {
            let columns = L::COLUMNS.join(", ");
            return Err(Failure::Asked(format!("no sort {column:?}: one of id, name, {columns}")));
        }
    };
    let breadth = services.views.look(|model| model.breadth::<L>(&which, NARROW + 1)).await?;
    let is_narrow = breadth <= NARROW;
    let total = match order {
        Some(_) if !is_narrow && which.is_counted() => {
            Some(services.views.look(|model| L::count(model, &which)).await? as usize)
        }
        _ => None,
    };
    if total == Some(0) {
        return Ok(List::nothing());
    }
    // A filter that few match is a look at everything, however short its page.
    let is_all = which == Which::default() && order.is_some();
    let _scan = if is_narrow || is_all { None } else { Some(api.scan().await?) };
    match order {
        Some(order) if !is_narrow => walked(services, which, paging, (order, total)).await,
        order => sorted(services, which, paging, order).await,
    }
}

async fn walked<L: Sorted>(
    services: &Services,
    which: Which,
    paging: &Paging,
    (order, total): (Order, Option<usize>),
) -> Result<List<L>, Failure> {
    let total = match total {
        Some(total) => total,
        None => services.views.count(&Gather::<L>::new(which.clone())).await?,
    };
    let mut walk = Walk::<L>::new(which, order);
    walk.descending = paging.descending;
    walk.above = place::<L>(services, order, paging.after).await?;
    walk.below = place::<L>(services, order, paging.before).await?;
    // Without bounds all of them are met: nothing is looked for behind the last one.
    let most = if paging.after.or(paging.before).is_none() { total } else { usize::MAX };
    let records = services.views.first(&walk, paging.limit.min(most), TURN).await?;
    Ok(List { total, records })
}

/// The place of the row with this number, which need not match.
async fn place<L: Sorted>(
    services: &Services,
    order: Order,
    id: Option<i32>,
) -> Result<Option<Place>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let found = services.views.look(|model| Walk::<L>::place(model, order, id)).await?;
    found.map(Some).ok_or_else(|| gone(id))
}

fn gone(id: i32) -> Failure {
    Failure::Asked(format!(
        "there is no record {id}, perhaps any more: a list that is paged by name goes on behind a \
         record that is there; begin again, or sort by id"
    ))
}

/// All keys that match, up to `most`.
async fn gathered<L: Sorted>(
    services: &Services,
    which: &Which,
    most: usize,
) -> Result<Vec<Key>, Failure> {
    let gather = Gather::<L>::new(which.clone());
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = services.views.page(&gather, after, usize::MAX).await?;
        keys.extend(page.rows);
        if keys.len() > most {
            return Err(Failure::Asked(format!(
                "more than {most} records match, too many to sort by this column: narrow it down, \
                 or sort by id or name"
            )));
        }
        after = page.next;
        if after.is_none() {
            return Ok(keys);
        }
        tokio::task::yield_now().await;
    }
}

async fn fetched<L: Sorted>(services: &Services, keys: &[Key]) -> Result<Vec<L>, Failure> {
    let mut rows = Vec::with_capacity(keys.len());
    for part in keys.chunks(TURN) {
        rows.extend(services.views.look(|model| listing::fetch::<L>(model, part)).await?);
        tokio::task::yield_now().await;
    }
    Ok(rows)
}

async fn sorted<L: Sorted>(
    services: &Services,
    which: Which,
    paging: &Paging,
    order: Option<Order>,
) -> Result<List<L>, Failure> {
    let Some(order) = order else { return by_column(services, which, paging).await };
    let mut keys = gathered::<L>(services, &which, usize::MAX).await?;
    let total = keys.len();
    let at = |key: &Key| match order {
        Order::Id => Place { name: Box::default(), id: key.id },
        Order::Name => Place { name: key.name.clone(), id: key.id },
    };
    if let Some(place) = place::<L>(services, order, paging.after).await? {
        keys.retain(|key| at(key) > place);
    }
    if let Some(place) = place::<L>(services, order, paging.before).await? {
        keys.retain(|key| at(key) < place);
    }
    match order {
        Order::Id => keys.sort_unstable_by_key(|key| (key.id, key.job)),
        Order::Name => keys.sort_unstable(),
    }
    if paging.descending {
        keys.reverse();
    }
    keys.truncate(whole_groups(keys.iter().map(|key| key.id), paging.limit));
    Ok(List { total, records: fetched(services, &keys).await? })
}

async fn by_column<L: Sorted>(
    services: &Services,
    which: Which,
    paging: &Paging,
) -> Result<List<L>, Failure> {
    let column = paging.sort.as_deref().unwrap_or_default();
    let keys = gathered::<L>(services, &which, SORTED_MAX).await?;
    let mut rows: Vec<L> = fetched(services, &keys).await?;
    let total = rows.len();
    // Several rows may have one number: they stand where the least of them does.
    let mut least = BTreeMap::new();
    for row in &rows {
        let value = row.value(column);
        let known = least.entry(row.id()).or_insert_with(|| value.clone());
        *known = value.min(known.clone());
    }
    let at = |row: &L| (least[&row.id()].clone(), row.id());
    let bound = |id: Option<i32>| match id {
        None => Ok(None),
        Some(id) => least.get(&id).map(|value| Some((value.clone(), id))).ok_or_else(|| gone(id)),
    };
    let (above, below) = (bound(paging.after)?, bound(paging.before)?);
    rows.retain(|row| above.as_ref().is_none_or(|bound| at(row) > *bound));
    rows.retain(|row| below.as_ref().is_none_or(|bound| at(row) < *bound));
    rows.sort_by_cached_key(at);
    if paging.descending {
        rows.reverse();
    }
    rows.truncate(whole_groups(rows.iter().map(Sorted::id), paging.limit));
    Ok(List { total, records: rows })
}

/// How many rows are shown: `limit`, and those behind that have the number of the last one, for who
/// goes on goes on behind all of its rows.
fn whole_groups(ids: impl Iterator<Item = i32>, limit: usize) -> usize {
    let (mut shown, mut last) = (0, None);
    for id in ids {
        if shown >= limit && last != Some(id) {
            break;
        }
        shown += 1;
        last = Some(id);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_number_are_on_one_page() {
        let ids = [1, 2, 2, 2, 3];
        let shown = |limit| whole_groups(ids.into_iter(), limit);
        assert_eq!([1, 2, 3, 4, 5, 9].map(shown), [1, 4, 4, 4, 5, 5]);
        assert_eq!(whole_groups([].into_iter(), 3), 0);
    }
}
