//! Accepts connections.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use tokio::task::JoinHandle;

use super::sessions;
use crate::port::Network;

/// To the endpoint.
pub enum Message {
    /// The endpoint was closed under it.
    Closed,
}

/// What it is given.
pub struct Arguments {
    /// The endpoint.
    pub network: Arc<dyn Network>,
    /// Who takes connections.
    pub sessions: ActorRef<sessions::Message>,
}

/// The actor.
pub struct EndpointActor;

impl Actor for EndpointActor {
    type Msg = Message;
    type State = JoinHandle<()>;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<JoinHandle<()>, ActorProcessingErr> {
        let Arguments { network, sessions } = arguments;
        Ok(tokio::spawn(async move {
            while let Some(connection) = network.accept().await {
                if sessions.cast(sessions::Message::Connected(connection)).is_err() {
                    return;
                }
            }
            let _ = myself.cast(Message::Closed);
        }))
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        _state: &mut JoinHandle<()>,
    ) -> Result<(), ActorProcessingErr> {
        let Message::Closed = message;
        Err("the endpoint no longer accepts connections".into())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Message>,
        state: &mut JoinHandle<()>,
    ) -> Result<(), ActorProcessingErr> {
        state.abort();
        Ok(())
    }
}
