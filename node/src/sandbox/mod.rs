//! Runs a command where it can see and reach nothing that it does not need.
//!
//! Three processes stand between the worker and the command: the worker starts its own program once
//! more as the *monitor* (alone in its address space, no threads, no environment); the monitor
//! makes the *first* process of new namespaces, which builds the file system as the host's root,
//! steps into a user namespace and forks the *command*. The monitor ends the first process when
//! the worker asks for it or is gone, and the kernel then ends everything in its namespaces.

mod capabilities;
mod cgroup;
mod detected;
mod drive;
mod group;
mod ids;
mod init;
mod job;
mod leftovers;
mod observed;
mod ownership;
mod personality;
mod removal;
mod run;
mod settings;
mod spec;
mod tree;
mod usage;
mod wall;
mod watch;

pub use capabilities::Capabilities;
pub use cgroup::{GroupLimits, Layout};
pub use detected::Sandbox;
pub use ids::IDS;
pub(crate) use init::close_at_exec;
pub use init::{INIT_ARGUMENT, init_main};
pub use leftovers::{clear, clear_blocking, sweep};
pub use observed::{Free, Lowest, Observed};
pub use personality::Personality;
pub use settings::{ID_BASE, Settings};
pub use spec::{Bind, Exit, Limits, Network, Output, Root, Run, SandboxError, Spec, User};
pub use tree::{list_folder, open_file, remove_tree, remove_tree_blocking};
pub use wall::{Kernel, Wall};
pub use watch::{LOOK_EVERY, Watch, machine_memory_kills};
