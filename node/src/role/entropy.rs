use rebuilder_actors::port::Entropy;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Randomness from the system.
#[derive(Debug)]
pub(super) struct SystemEntropy {
    random: SystemRandom,
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self { random: SystemRandom::new() }
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.random.fill(bytes).expect("the system has given randomness since the process began");
    }
}
