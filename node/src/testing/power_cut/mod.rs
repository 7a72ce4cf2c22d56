//! Power cuts, for tests: what a real process did to its files is recorded with `strace`, played
//! onto a model of a disk, and stopped anywhere. What may then be found on the medium is written
//! to a folder, opened by the real code, and judged.

mod disk;
mod disk_test;
mod image;
mod judge;
mod order;
mod random;
mod recording;
mod trace;

pub use disk::Medium;
pub use image::Node;
pub use judge::{CutPlan, Judged, image, judge, judged_by_children};
pub use random::Numbers;
pub use recording::{Recording, folder, strace, tell};
