//! One profile's sync: reads the index, and hands it to the queue in pages once it is whole.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{queue, results, store};
use crate::actor::alarm::Alarm;
use crate::actor::catch_panic::catch_panic;
use crate::domain::BackOff;
use crate::domain::queue::Event;
use crate::domain::results::{NOTHING, SyncState};
use crate::port::{Clock, Group, IndexRead, IndexReader, KeptRelease, StoreError, Unread};
use crate::protocol::stored::{self, ProfileRecord, Record};
use crate::protocol::text::counted_len;
use crate::protocol::wire::v1::ctl::{Subject, Trouble};
use crate::protocol::{IndexState, UtcMillis};

/// A profile as configured.
#[derive(Clone)]
pub struct Profile {
    /// Its name.
    pub name: Box<str>,
    /// `debian` …
    pub distribution: String,
    /// Reads its index.
    pub reader: Arc<dyn IndexReader>,
    /// Time from the end of one sync to the start of the next.
    pub interval: Duration,
}

/// Answers an operator who asked for a sync.
pub type Answer = oneshot::Sender<Result<String, String>>;

/// To one sync.
pub enum Message {
    /// What is remembered of the profile; the first message.
    Remembered(Option<Box<ProfileRecord>>),
    /// Sync now, for an operator.
    Run(Answer),
    /// The timer; one that was replaced does nothing.
    Due(u64),
    /// A run ended.
    Done(Result<SyncOutcome, String>),
}

/// How a run ended well.
pub struct SyncOutcome {
    /// `None`: the index is as before.
    state: Option<IndexState>,
    text: String,
    /// What could not be read, and warnings; as it was when the index is as before.
    notes: Vec<String>,
    /// Stanzas that cannot be read.
    unread: u64,
    kept: Vec<KeptRelease>,
    /// True where the whole index was read and names nothing.
    nothing: bool,
}

/// What it is given.
pub struct Arguments {
    /// The profile.
    pub profile: Profile,
    /// Where it is remembered.
    pub store: ActorRef<store::Message>,
    /// Whom to give the difference.
    pub queue: ActorRef<queue::Message>,
    /// Whom to tell how it goes.
    pub results: ActorRef<results::Message>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
}

/// The actor.
pub struct SyncActor;

/// One run at a time.
pub struct State {
    arguments: Arguments,
    index: Option<IndexState>,
    looked_at: Option<UtcMillis>,
    /// Releases that could not be read while others were: how often in a row, and why.
    releases: BTreeMap<Box<str>, (u32, String)>,
    waiting: Vec<Answer>,
    /// At most one task. It ends with the actor, however that ends: a second one beside it would
    /// hand over the same profile twice at a time.
    run: JoinSet<()>,
    failures: u32,
    /// See [`SyncOutcome`].
    notes: Vec<String>,
    /// Stanzas of the index that cannot be read.
    unread: u64,
    /// The newest timer alone: intervals are hours, and an operator may ask for many runs.
    alarm: Alarm,
}

/// Groups in one message to the queue: about 10 ms of its time.
const PAGE: usize = 1_000;

impl Actor for SyncActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let name = arguments.profile.name.clone();
        arguments.store.cast(store::Message::Read(Box::new(move |store| {
            let value = store.get(&ProfileRecord::key(&name))?;
            let record = value.map(|v| stored::read(&v)).transpose().map_err(|e| {
                StoreError::Damaged { path: format!("profile {name}"), reason: e.to_string() }
            })?;
            let _ = myself.cast(Message::Remembered(record.map(Box::new)));
            Ok(())
        })))?;
        Ok(State {
            arguments,
            index: None,
            looked_at: None,
            releases: BTreeMap::new(),
            waiting: Vec::new(),
            run: JoinSet::new(),
            failures: 0,
            notes: Vec::new(),
            unread: 0,
            alarm: Alarm::default(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Remembered(record) => {
                state.index = record.map(|record| record.index);
                state.start(&myself);
            }
            Message::Run(answer) => {
                state.waiting.push(answer);
                state.start(&myself);
            }
            Message::Due(timer) if state.alarm.rings(timer) => state.start(&myself),
            Message::Due(_) => {}
            Message::Done(result) => state.ended(&myself, result),
        }
        Ok(())
    }
}

impl State {
    fn start(&mut self, myself: &ActorRef<Message>) {
        if !self.run.is_empty() {
            return;
        }
        self.tell(None, None);
        let run = Run {
            profile: self.arguments.profile.clone(),
            queue: self.arguments.queue.clone(),
            clock: self.arguments.clock.clone(),
            since: self.index.clone(),
        };
        let myself = myself.clone();
        self.run.spawn(async move {
            let result = catch_panic(run.run()).await;
            let result = result.unwrap_or_else(|panicked| Err(panicked.to_string()));
            let _ = myself.cast(Message::Done(result));
        });
    }

    fn ended(&mut self, myself: &ActorRef<Message>, result: Result<SyncOutcome, String>) {
        self.run = JoinSet::new();
        let interval = self.arguments.profile.interval;
        let (error, wait, answer) = match result {
            Ok(SyncOutcome { state, text, notes, unread, kept, nothing }) => {
                self.unread = unread;
                self.failures = 0;
                self.note(notes, nothing);
                let left_out = self.keep(kept);
                self.looked_at = Some(self.arguments.clock.utc());
                if let Some(state) = state {
                    self.index = Some(state);
                }
                let soon = self.releases.values().map(|(times, _)| retry_after(*times)).min();
                let wait = soon.map_or(interval, |soon| interval.min(soon));
                (None, wait, Ok(text + &left_out))
            }
            Err(text) => {
                self.failures += 1;
                let name = &self.arguments.profile.name;
                tracing::warn!(target: "rebuilder", "profile {name} not synced: {text}");
                let soon = retry_after(self.failures);
                (Some(text.clone()), interval.min(soon), Err(text))
            }
        };
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(answer.clone());
        }
        let wait = jittered(wait, &self.arguments.profile.name);
        self.tell(error, Some(self.arguments.clock.utc().plus(wait)));
        self.alarm.set(myself, self.arguments.clock.monotonic(), wait, Message::Due);
    }

    /// Says in the log what is new among the notes, once.
    fn note(&mut self, notes: Vec<String>, nothing: bool) {
        let name = &self.arguments.profile.name;
        for new in notes.iter().filter(|note| !self.notes.contains(note)) {
            tracing::warn!(target: "rebuilder", "profile {name}: {new}");
        }
        if nothing {
            tracing::warn!(target: "rebuilder", "profile {name} {NOTHING}");
        }
        self.notes = notes;
    }

    /// Counts how often each release failed in a row, and answers it for whoever asked.
    fn keep(&mut self, kept: Vec<KeptRelease>) -> String {
        let profile = &self.arguments.profile.name;
        let before = core::mem::take(&mut self.releases);
        let mut left_out = String::new();
        for KeptRelease { name, error } in kept {
            let Some(error) = error else { continue };
            tracing::warn!(
                target: "rebuilder",
                "profile {profile}: release {name} not read, the others were: {error}"
            );
            left_out += &format!("; release {name} not read: {error}");
            let times = before.get(&name).map_or(0, |(times, _)| *times) + 1;
            self.releases.insert(name, (times, error.to_string()));
        }
        left_out
    }

    fn tell(&self, error: Option<String>, next_at: Option<UtcMillis>) {
        let profile = &self.arguments.profile;
        let distribution = profile.distribution.clone();
        let trouble = |note: &String| Trouble {
            subject: Subject::Profile(profile.name.to_string()),
            text: note.clone(),
            times: 1,
            next: None,
        };
        let releases = self.releases.iter().map(|(release, (times, error))| Trouble {
            subject: Subject::Release {
                profile: profile.name.to_string(),
                release: release.to_string(),
            },
            text: error.clone(),
            times: *times,
            next: next_at,
        });
        let state = SyncState {
            distribution,
            error,
            next_at,
            looked_at: self.looked_at,
            troubles: releases.chain(self.notes.iter().map(trouble)).collect(),
            unread: self.unread,
        };
        let _ = self.arguments.results.cast(results::Message::Sync(profile.name.clone(), state));
    }
}

/// When a sync is tried again after so many failures in a row: soon at first, as a server may be
/// back in a minute, then doubling up to an hour.
fn retry_after(failures: u32) -> Duration {
    match failures {
        0..SOON => AT_FIRST.after(failures),
        more => LATER.after(more - (SOON - 1)),
    }
}

/// Failures in a row up to which a sync is tried again within a minute.
const SOON: u32 = 5;
const AT_FIRST: BackOff = BackOff::new(Duration::from_secs(15), Duration::from_secs(60));
const LATER: BackOff = BackOff::new(Duration::from_secs(60), Duration::from_secs(3840));

/// Up to a tenth more, by the profile's name, so that profiles do not all ask a mirror at once.
fn jittered(wait: Duration, name: &str) -> Duration {
    let spread = name.bytes().fold(7_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
    wait + wait / 1000 * (spread % 100)
}

/// One look at the index.
struct Run {
    profile: Profile,
    queue: ActorRef<queue::Message>,
    clock: Arc<dyn Clock>,
    since: Option<IndexState>,
}

impl Run {
    async fn run(self) -> Result<SyncOutcome, String> {
        let began = self.clock.monotonic();
        let mut groups: Vec<Group> = Vec::new();
        let mut sink = |group| groups.push(group);
        let reader = self.profile.reader.clone();
        let read = reader.read(self.since.as_ref(), self.clock.utc(), &mut sink).await;
        let state = match read.map_err(|error| error.to_string())? {
            IndexRead::Unchanged => {
                let text = "the index is as before".into();
                let Unread { stanzas: unread, notes, .. } = reader.unread();
                let kept = reader.kept();
                return Ok(SyncOutcome { state: None, text, notes, unread, kept, nothing: false });
            }
            IndexRead::Changed(state) => state,
        };
        let profile = self.profile.name.clone();
        self.hand_over(Event::SyncBegan { profile }).await?;
        let Unread { stanzas, notes, doubts } = reader.unread();
        if !doubts.is_empty() {
            let profile = self.profile.name.clone();
            self.hand_over(Event::SyncDoubts { profile, doubts }).await?;
        }
        let count = groups.len();
        // From the end, so that memory is given back as the pages go.
        while !groups.is_empty() {
            let page = groups.split_off(groups.len().saturating_sub(PAGE));
            groups.shrink_to(groups.len());
            let profile = self.profile.name.clone();
            self.hand_over(Event::SyncPage { profile, groups: page }).await?;
        }
        let kept = reader.kept();
        if !kept.is_empty() {
            let profile = self.profile.name.clone();
            let releases = kept.iter().map(|kept| kept.name.clone()).collect();
            self.hand_over(Event::SyncKept { profile, releases }).await?;
        }
        let took = self.clock.monotonic().since(began);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let profile = self.profile.name.clone();
        self.hand_over(Event::SyncEnded { profile, index: state.clone(), took_ms }).await?;
        let left_out = match stanzas {
            0 => String::new(),
            1 => "; one stanza cannot be read".to_owned(),
            n => format!("; {n} stanzas cannot be read"),
        };
        let is_as_before = !kept.is_empty() && kept.iter().all(|kept| kept.error.is_none());
        let read = match count {
            0 if is_as_before => "the index was signed again and says the same".to_owned(),
            _ => counted_len(count, "build input"),
        };
        let text = format!("{read} in {took_ms} ms{left_out}");
        let nothing = count == 0 && kept.is_empty();
        Ok(SyncOutcome { state: Some(state), text, notes, unread: stanzas, kept, nothing })
    }

    /// Gives the queue an event and waits until it is durable.
    async fn hand_over(&self, event: Event) -> Result<(), String> {
        let (done, wait) = oneshot::channel();
        let gone = |_| "the coordinator is restarting".to_owned();
        self.queue
            .cast(queue::Message::Sync(Box::new(event), done))
            .map_err(|_| "the coordinator is restarting".to_owned())?;
        wait.await.map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_is_tried_five_times_in_four_minutes_and_then_ever_later() {
        let waits: Vec<u64> = (1..=13).map(|n| retry_after(n).as_secs()).collect();
        assert_eq!(waits[..5].iter().sum::<u64>(), 225);
        assert_eq!(waits[5..], [120, 240, 480, 960, 1920, 3840, 3840, 3840]);
    }
}
