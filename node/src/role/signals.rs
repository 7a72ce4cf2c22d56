//! What each signal does to a node; `docs/configuration.md` has the table.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::RoleError;

/// The signals that are caught. Those that are not keep the system's effect.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    /// Set by `nohup` and the like before this program began.
    hangup_ignored: bool,
}

/// A signal at which the node stops in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// SIGTERM or SIGINT.
    Asked(&'static str),
    /// SIGHUP: the terminal is gone, or somebody wants the configuration to be read again.
    HungUp,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn catch() -> Result<Self, RoleError> {
        // Asked before the first handler takes the place of what was inherited.
        let hangup_ignored = is_ignored(HANGUP);
        let caught = |kind| {
            signal(kind).map_err(|error| RoleError::Start(format!("cannot catch signals: {error}")))
        };
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            hangup: caught(SignalKind::hangup())?,
            user1: caught(SignalKind::user_defined1())?,
            user2: caught(SignalKind::user_defined2())?,
            hangup_ignored,
        })
    }

    /// The next signal that asks to stop; the others are said and change nothing.
    pub(super) async fn stop(&mut self) -> Stop {
        loop {
            tokio::select! {
                biased;
                _ = self.terminate.recv() => return Stop::Asked("SIGTERM"),
                _ = self.interrupt.recv() => return Stop::Asked("SIGINT"),
                _ = self.hangup.recv() => {
                    if !self.hangup_ignored {
                        return Stop::HungUp;
                    }
                    ignored("SIGHUP");
                }
                _ = self.user1.recv() => ignored("SIGUSR1"),
                _ = self.user2.recv() => ignored("SIGUSR2"),
            }
        }
    }

    /// While the node stops: the next signal that asks for it again, impatiently.
    pub(super) async fn again(&mut self) -> &'static str {
        loop {
            match self.stop().await {
                Stop::Asked(signal) => return signal,
                Stop::HungUp => ignored("SIGHUP"),
            }
        }
    }
}

fn ignored(signal: &str) {
    tracing::info!(target: "rebuilder", "{signal} ignored: it has no meaning here");
}

/// The number of SIGHUP.
const HANGUP: u32 = 1;

/// True when this process was started with the signal ignored. False where it cannot be known.
fn is_ignored(signal: u32) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

/// `SigIgn` of proc(5) is a mask in hexadecimal, its lowest bit is signal 1.
fn ignores(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t01\nSigIgn:\t{mask}\nSigCgt:\t01\n");
        assert!(ignores(&status("0000000000001001"), HANGUP));
        assert!(ignores(&status("0000000000001000"), 13));
        assert!(!ignores(&status("0000000000001000"), HANGUP));
        assert!(!ignores(&status("nonsense"), HANGUP));
        assert!(!ignores("", HANGUP));
    }
}
