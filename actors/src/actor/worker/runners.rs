//! One Runner for each attempt, at most as many at work as there are slots.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeMap;

use super::link;
pub use super::order::Order as Message;
use super::runner::{self, Arguments as RunnerArguments, RunnerActor, Shared};
use crate::actor::supervisor::stop_all;
use crate::domain::worker::Event;
use crate::protocol::AttemptId;

/// The supervisor of the runners: one that fails is told as ended, and its job goes elsewhere.
pub struct RunnersActor;

/// Who runs what.
pub struct State {
    shared: Shared,
    runners: BTreeMap<AttemptId, ActorRef<runner::Message>>,
}

impl Actor for RunnersActor {
    type Msg = Message;
    type State = State;
    type Arguments = Shared;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        shared: Shared,
    ) -> Result<State, ActorProcessingErr> {
        shared.link.cast(link::Message::Runners(myself))?;
        Ok(State { shared, runners: BTreeMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Start(assignment) => {
                let attempt = assignment.attempt;
                let shared = state.shared.clone();
                let arguments = RunnerArguments { assignment, shared };
                let (runner, _) =
                    Actor::spawn_linked(None, RunnerActor, arguments, myself.get_cell()).await?;
                state.runners.insert(attempt, runner);
            }
            Message::Stop(attempt) => {
                if let Some(runner) = state.runners.get(&attempt) {
                    let _ = runner.cast(runner::Message::Stop);
                }
            }
            Message::Answered(attempt, accepted) => {
                if let Some(runner) = state.runners.get(&attempt) {
                    let _ = runner.cast(runner::Message::Answered(accepted));
                }
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        stop_all(state.runners.values().map(|runner| runner.get_cell())).await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, error) = match event {
            SupervisionEvent::ActorTerminated(cell, ..) => (cell, None),
            SupervisionEvent::ActorFailed(cell, error) => (cell, Some(error)),
            _ => return Ok(()),
        };
        let found = state.runners.iter().find(|(_, r)| r.get_id() == cell.get_id());
        let Some(attempt) = found.map(|(attempt, _)| *attempt) else { return Ok(()) };
        state.runners.remove(&attempt);
        if let Some(error) = error {
            tracing::error!(target: "rebuilder", "attempt {attempt} failed inside: {error}");
            state.shared.link.cast(link::Message::Event(Event::Ended(attempt)))?;
            state.shared.backend.release(attempt).await;
        }
        Ok(())
    }
}
