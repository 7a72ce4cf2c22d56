//! Accepts connections.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use tokio::task::JoinSet;

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
    /// The task that accepts; it ends with the actor, however that ends.
    type State = JoinSet<()>;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<JoinSet<()>, ActorProcessingErr> {
        let Arguments { network, sessions } = arguments;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(connection) = network.accept().await {
                if sessions.cast(sessions::Message::Connected(connection)).is_err() {
                    return;
                }
            }
            let _ = myself.cast(Message::Closed);
        });
        Ok(tasks)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        _state: &mut JoinSet<()>,
    ) -> Result<(), ActorProcessingErr> {
        let Message::Closed = message;
        Err("the endpoint no longer accepts connections".into())
    }
}
