//! What the machines of workers give to builds: kept for readers while they are connected.

use super::event::SessionId;
use super::queue_state::Queue;
use crate::protocol::text::printable_within;
use crate::protocol::wire::v1::worker::Capabilities;

/// Words that are kept of one worker: twice as many as there are today.
const WORDS_MAX: usize = 32;
/// Characters of a word.
const WORD_MAX: usize = 64;

impl Queue {
    /// A worker said what its machine has. It decides nothing, so that it need not be true.
    pub(super) fn keep_capabilities(&mut self, session: SessionId, received: &Capabilities) {
        let Some(&id) = self.sessions.get(&session) else { return };
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if let Some(live) = worker.session.as_mut().filter(|live| live.id == session) {
            let words = received.words.iter().take(WORDS_MAX);
            let words: Vec<String> = words.map(|word| printable_within(word, WORD_MAX)).collect();
            // Whoever repeats itself costs readers nothing.
            if live.capabilities != words {
                live.capabilities = words;
                self.changed.insert(id);
            }
        }
    }
}
