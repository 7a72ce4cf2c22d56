//! One Session for each connection.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::house::House;
use super::queue;
use super::session::{self, Arguments as SessionArguments, SessionActor};
use crate::actor::supervisor::stop_all;
use crate::domain::queue::{Event, SessionId};
use crate::port::{CloseReason, Connection};
use crate::protocol::wire::CloseCode;

/// To the sessions.
pub enum Message {
    /// A peer connected.
    Connected(Box<dyn Connection>),
}

/// The supervisor of all sessions: one that ends is forgotten, its peer connects again.
pub struct SessionsActor;

/// How many there are.
pub struct State {
    house: House,
    /// By the actor's number in this process.
    live: BTreeMap<u64, (SessionId, ActorRef<session::Message>)>,
}

/// Connections at a time; further ones are told to come back later.
const LIVE_MAX: usize = 1024;

impl Actor for SessionsActor {
    type Msg = Message;
    type State = State;
    type Arguments = House;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        house: House,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { house, live: BTreeMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Message::Connected(connection) = message;
        if state.live.len() >= LIVE_MAX {
            let text = format!("{LIVE_MAX} connections are open: try again later");
            connection.close(CloseReason { code: CloseCode::Busy as u32, text });
            return Ok(());
        }
        let next = state.house.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let (id, house) = (SessionId(next), state.house.clone());
        let arguments = SessionArguments { id, connection, house };
        let (session, _) =
            Actor::spawn_linked(None, SessionActor, arguments, myself.get_cell()).await?;
        state.live.insert(session.get_id().pid(), (id, session));
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
                state.live.remove(&cell.get_id().pid());
            }
            SupervisionEvent::ActorFailed(cell, error) => {
                tracing::error!(%error, "a session failed inside; its peer connects again");
                if let Some((id, _)) = state.live.remove(&cell.get_id().pid()) {
                    let left = Box::new(Event::Left(id));
                    state.house.queue.cast(queue::Message::Event(left))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
