//! What readers are shown, read where they are: on their own threads, in no actor's mailbox. One
//! actor folds facts in, everybody else looks.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;

use crate::domain::filter::FilterError;
use crate::domain::results::{Page, Query, ReadModel};
use crate::protocol::UtcMillis;

/// An actor that is gone: its tree is being restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is restarting; try again")]
pub struct Gone;

/// Why nothing is listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The actors are being started again; the same question is answered then.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The question makes no sense.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// Rows of a page where all of them are wanted.
const EACH: usize = 500;

/// How many times facts were published; the first ones, which are all that the queue knows, count
/// already before they were. It never falls, whatever restarts.
#[derive(Debug)]
pub struct Published(AtomicU64);

impl Default for Published {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Published {
    /// Of facts that are about to be published.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Of the newest.
    pub fn newest(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The end of those who look.
#[derive(Clone, Debug)]
pub struct Views {
    model: Arc<RwLock<ReadModel>>,
    published: Arc<Published>,
    progress: Arc<Progress>,
}

/// The end of the one who folds facts in.
#[derive(Clone, Debug)]
pub struct Fold {
    model: Arc<RwLock<ReadModel>>,
    end: Arc<End>,
}

/// How far the fold is.
#[derive(Debug, Default)]
struct Progress {
    folded: AtomicU64,
    is_over: AtomicBool,
    changed: Notify,
}

/// When the last one is dropped, nobody folds any more.
#[derive(Debug)]
struct End(Arc<Progress>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }
}

/// A model that knows nothing yet, of a queue that shuffles with this seed.
pub fn views(seed: u64, published: Arc<Published>) -> (Fold, Views) {
    let model = Arc::new(RwLock::new(ReadModel::new(seed)));
    let progress = Arc::<Progress>::default();
    let fold = Fold { model: model.clone(), end: Arc::new(End(progress.clone())) };
    (fold, Views { model, published, progress })
}

impl Views {
    /// Looks at everything that was published when it is called: who gave an order sees what came
    /// of it. The look holds up the fold, so that it is a page or less, about a millisecond.
    ///
    /// # Errors
    /// Nobody folds any more.
    pub async fn look<T>(&self, look: impl FnOnce(&ReadModel) -> T) -> Result<T, Gone> {
        self.caught_up().await?;
        Ok(look(&read(&self.model)))
    }

    /// As [`Views::look`], at a moment: jobs that are due by then are among the ready ones.
    ///
    /// # Errors
    /// As [`Views::look`].
    pub async fn look_at<T>(
        &self,
        now: UtcMillis,
        look: impl FnOnce(&ReadModel) -> T,
    ) -> Result<T, Gone> {
        self.caught_up().await?;
        // Readers stand in each other's way only when there is something to wake.
        if read(&self.model).is_due(now) {
            write(&self.model).wake(now);
        }
        Ok(look(&read(&self.model)))
    }

    /// A page of what is asked, of everything that was published when it is called.
    ///
    /// # Errors
    /// Nobody folds any more, or the question makes no sense.
    pub async fn page<Q: Query>(
        &self,
        query: &Q,
        after: Option<Q::Cursor>,
        limit: usize,
    ) -> Result<Page<Q::Row, Q::Cursor>, AskError> {
        let page = |model: &ReadModel| query.page(model, after, limit);
        Ok(match query.now() {
            Some(now) => self.look_at(now, page).await?,
            None => self.look(page).await?,
        }?)
    }

    /// Everything that is asked, row by row; between two pages others have their turn.
    ///
    /// # Errors
    /// As [`Views::page`].
    pub async fn each<Q: Query>(
        &self,
        query: &Q,
        mut each: impl FnMut(Q::Row),
    ) -> Result<(), AskError> {
        let mut after = None;
        loop {
            let page = self.page(query, after, EACH).await?;
            page.rows.into_iter().for_each(&mut each);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    /// How many rows there are, by a look at all of them.
    ///
    /// # Errors
    /// As [`Views::page`].
    pub async fn count<Q: Query>(&self, query: &Q) -> Result<usize, AskError> {
        let mut count = 0;
        self.each(query, |_| count += 1).await?;
        Ok(count)
    }

    /// The first `limit` rows, `turn` of them at a time; between two pages others have their turn.
    /// More only where the last page has more than was asked of it.
    ///
    /// # Errors
    /// As [`Views::page`].
    pub async fn first<Q: Query>(
        &self,
        query: &Q,
        limit: usize,
        turn: usize,
    ) -> Result<Vec<Q::Row>, AskError> {
        let (mut rows, mut after) = (Vec::new(), None);
        while rows.len() < limit {
            let page = self.page(query, after, turn.min(limit - rows.len())).await?;
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(rows)
    }

    /// True when a look does not wait for what is stored: all of it was folded in once.
    pub fn is_ready(&self) -> bool {
        let is_over = self.progress.is_over.load(Ordering::Acquire);
        !is_over && self.progress.folded.load(Ordering::Acquire) > 0
    }

    async fn caught_up(&self) -> Result<(), Gone> {
        let wanted = self.published.newest();
        loop {
            let mut changed = core::pin::pin!(self.progress.changed.notified());
            // Before the look at the number: what is folded in between wakes it.
            changed.as_mut().enable();
            if self.progress.is_over.load(Ordering::Acquire) {
                return Err(Gone);
            }
            if self.progress.folded.load(Ordering::Acquire) >= wanted {
                return Ok(());
            }
            changed.await;
        }
    }
}

impl Fold {
    /// Changes the model; nobody looks meanwhile.
    pub fn change(&self, change: impl FnOnce(&mut ReadModel)) {
        change(&mut write(&self.model));
    }

    /// Everything that was published up to this number is in the model.
    pub fn caught_up(&self, number: u64) {
        self.end.0.folded.fetch_max(number, Ordering::AcqRel);
        self.end.0.changed.notify_waiters();
    }
}

// A look or a change that panicked is that of one request or fact: the model is a cache of what is
// durable, and its maps are whole between two calls.
fn read(model: &RwLock<ReadModel>) -> RwLockReadGuard<'_, ReadModel> {
    model.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(model: &RwLock<ReadModel>) -> RwLockWriteGuard<'_, ReadModel> {
    model.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::results::{Profiles, SyncState};

    async fn profiles(views: Views) -> Result<usize, AskError> {
        Ok(views.page(&Profiles, None, 9).await?.rows.len())
    }

    #[tokio::test]
    async fn a_look_waits_for_what_was_published_before_it() {
        let published = Arc::new(Published::default());
        let (fold, views) = views(1, published.clone());
        let looks = views.clone();
        let look = tokio::spawn(profiles(looks));
        tokio::task::yield_now().await;
        assert!(!look.is_finished(), "the first facts are not there");
        fold.caught_up(published.newest());
        assert_eq!(look.await.unwrap(), Ok(0));

        let number = published.next();
        let looks = views.clone();
        let look = tokio::spawn(profiles(looks));
        tokio::task::yield_now().await;
        assert!(!look.is_finished(), "what was published is not folded in");
        fold.change(|model| model.sync_state("p".into(), SyncState::default()));
        fold.caught_up(number);
        // An older number, of facts that were read from the store, takes nothing back.
        fold.caught_up(1);
        assert_eq!(look.await.unwrap(), Ok(1));
        drop(fold);
        assert_eq!(profiles(views).await, Err(AskError::Gone(Gone)));
    }
}
