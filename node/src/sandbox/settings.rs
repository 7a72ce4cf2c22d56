use std::path::PathBuf;

/// First id of the host's range that stands for the ids 0 to 65,535 inside, unless configured
/// otherwise. Far above what systems give to people, services and containers.
pub const ID_BASE: u32 = 1_879_048_192;

/// What all commands of one [`Sandbox`](super::Sandbox) have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The program that answers to `INIT_ARGUMENT` by calling `init_main`.
    pub init_program: PathBuf,
    /// First of the host's 65,536 ids for use inside; trees made with another base do not fit.
    pub id_base: u32,
    /// False: never use control groups, fall back to weaker limits.
    pub control_groups: bool,
}

impl Default for Settings {
    /// This program itself (whatever has replaced its file meanwhile), the usual ids.
    fn default() -> Self {
        Self {
            init_program: PathBuf::from("/proc/self/exe"),
            id_base: ID_BASE,
            control_groups: true,
        }
    }
}
