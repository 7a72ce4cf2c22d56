//! One Session for each connection.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;

use super::refusals::Kind;
use super::services::Services;
use super::session::{self, Arguments as SessionArguments, Enrolled, SessionActor};
use super::{queue, receiver};
use crate::actor::derived::accepts;
use crate::actor::supervisor::stop_all;
use crate::domain::places::{Places, Standing};
use crate::domain::queue::{Event, SessionId};
use crate::port::{CloseReason, Connection};
use crate::protocol::PublicKey;
use crate::protocol::wire::CloseCode;

/// To the sessions.
pub enum Message {
    /// A peer connected.
    Connected(Box<dyn Connection>),
    /// The worker of a session proved that it may work.
    Enrolled(Enrolled),
}

accepts!(Message, Enrolled, Enrolled);

/// The supervisor of all sessions: one that ends is forgotten, its peer connects again.
pub struct SessionsActor;

/// The connections and their places.
pub struct State {
    services: Services,
    places: Places,
    live: BTreeMap<SessionId, (PublicKey, ActorRef<session::Message>)>,
    /// Sessions by the actor's number in this process.
    numbers: BTreeMap<u64, SessionId>,
    /// The log's last word about what was refused; it ends with the actor.
    _tasks: JoinSet<()>,
}

impl Actor for SessionsActor {
    type Msg = Message;
    type State = State;
    type Arguments = Services;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        services: Services,
    ) -> Result<State, ActorProcessingErr> {
        let mut tasks = JoinSet::new();
        tasks.spawn(services.refusals.clone().say_rest());
        let places = Places::new(services.places);
        let (live, numbers) = (BTreeMap::new(), BTreeMap::new());
        Ok(State { services, places, live, numbers, _tasks: tasks })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let connection = match message {
            Message::Connected(connection) => connection,
            Message::Enrolled(Enrolled(session)) => {
                state.places.enrolled(session);
                return Ok(());
            }
        };
        let next = state.services.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let (id, services) = (SessionId(next), state.services.clone());
        let Some(standing) = state.admit(id, connection.as_ref()) else { return Ok(()) };
        let (key, sessions) = (connection.peer(), myself.get_derived());
        let arguments = SessionArguments { id, connection, standing, sessions, services };
        let (session, _) =
            Actor::spawn_linked(None, SessionActor, arguments, myself.get_cell()).await?;
        state.numbers.insert(session.get_id().pid(), id);
        state.live.insert(id, (key, session));
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        stop_all(state.live.values().map(|(_, session)| session.get_cell())).await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(cell, ..) => {
                state.ended(cell.get_id().pid());
            }
            SupervisionEvent::ActorFailed(cell, error) => {
                tracing::error!(%error, "a session failed inside; its peer connects again");
                if let Some(id) = state.ended(cell.get_id().pid()) {
                    let left = Box::new(Event::Left(id));
                    state.services.queue.cast(queue::Message::Event(left))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl State {
    /// Gives the connection a place, or closes it and says why.
    fn admit(&mut self, id: SessionId, connection: &dyn Connection) -> Option<Standing> {
        let (key, address) = (connection.peer(), connection.remote_address());
        let standing = self.services.standings.of(&key);
        match self.places.arrive(id, key, address.ip(), standing) {
            Ok(entry) => {
                if let Some(other) = entry.instead_of {
                    self.evict(other, key);
                }
                Some(standing)
            }
            Err(refusal) => {
                self.services.refusals.say(Kind::Place(refusal), || {
                    format!("connection of {key} from {address} refused: {refusal}")
                });
                let text = format!("{refusal}: try again later");
                connection.close(CloseReason { code: CloseCode::Busy as u32, text });
                None
            }
        }
    }

    /// Ends a connection whose place another one has now, that of the peer with key `by`.
    fn evict(&mut self, id: SessionId, by: PublicKey) {
        let Some((key, session)) = self.live.get(&id) else { return };
        let (code, reason) = if *key == by {
            (CloseCode::Duplicate, "a newer connection of this key has its place")
        } else {
            let places = self.places.limits().places;
            self.services.refusals.say(Kind::Evicted, || {
                format!("{places} connections are open: one without rights ends for another's")
            });
            (CloseCode::Busy, "its place is needed: try again later")
        };
        let close = receiver::Message::Close { code, reason: reason.into() };
        let _ = session.cast(session::Message::Receive(close));
    }

    fn ended(&mut self, number: u64) -> Option<SessionId> {
        let id = self.numbers.remove(&number)?;
        self.live.remove(&id);
        self.places.leave(id);
        Some(id)
    }
}
