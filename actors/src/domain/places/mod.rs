//! Who may be connected: places by standing, handshakes under way, and how often a line is said of
//! those that are refused. Pure values; the time is passed.

mod handshakes;
mod lingering;
mod origin;
mod pace;
mod standing;
mod taken;
mod tally;

pub use handshakes::Handshakes;
pub use lingering::Lingering;
pub use origin::Origin;
pub use pace::Pace;
pub use standing::Standing;
pub use taken::{Entry, PlaceLimits, Places, Refusal};
pub use tally::{Counted, SAID_EVERY, Tally};
