//! One Sync for each profile, on its own timer.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

pub use super::sync::Profile;
use super::sync::{self, SyncActor};
use super::{queue, results, store};
use crate::actor::supervisor::stop_all;
use crate::port::Clock;

/// To the syncs.
pub enum Message {
    /// Sync this profile now; answered when it ended.
    Run(String, oneshot::Sender<Result<String, String>>),
}

/// What it is given.
#[derive(Clone)]
pub struct Arguments {
    /// All profiles.
    pub profiles: Vec<Profile>,
    /// Where profiles are remembered.
    pub store: ActorRef<store::Message>,
    /// Whom to give the difference.
    pub queue: ActorRef<queue::Message>,
    /// Whom to tell how it goes.
    pub results: ActorRef<results::Message>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
}

/// The supervisor of the profiles' syncs: one for one.
pub struct SyncsActor;

/// Who syncs what.
pub struct State {
    arguments: Arguments,
    syncs: BTreeMap<Box<str>, ActorRef<sync::Message>>,
}

impl Actor for SyncsActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let mut state = State { arguments, syncs: BTreeMap::new() };
        for profile in state.arguments.profiles.clone() {
            state.start(&myself, profile).await?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Message::Run(profile, reply) = message;
        match state.syncs.get(&*profile) {
            Some(sync) => sync.cast(sync::Message::Run(reply))?,
            None => {
                let known: Vec<&str> = state.syncs.keys().map(AsRef::as_ref).collect();
                let text = match known.as_slice() {
                    [] => "no profile is configured".to_owned(),
                    known => format!("no profile `{profile}`; there are: {}", known.join(", ")),
                };
                let _ = reply.send(Err(text));
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        stop_all(state.syncs.values().map(|sync| sync.get_cell())).await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(cell, error) = event {
            let failed = state.syncs.iter().find(|(_, a)| a.get_id() == cell.get_id());
            let Some(name) = failed.map(|(name, _)| name.clone()) else { return Ok(()) };
            tracing::error!(profile = %name, %error, "sync failed inside and is started again");
            let profile = state.arguments.profiles.iter().find(|p| p.name == name).cloned();
            if let Some(profile) = profile {
                state.start(&myself, profile).await?;
            }
        }
        Ok(())
    }
}

impl State {
    async fn start(
        &mut self,
        myself: &ActorRef<Message>,
        profile: Profile,
    ) -> Result<(), ActorProcessingErr> {
        let name = profile.name.clone();
        let Arguments { store, queue, results, clock, .. } = self.arguments.clone();
        let arguments = sync::Arguments { profile, store, queue, results, clock };
        let (sync, _) = Actor::spawn_linked(None, SyncActor, arguments, myself.get_cell()).await?;
        self.syncs.insert(name, sync);
        Ok(())
    }
}
