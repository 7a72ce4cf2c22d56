/// What one attempt may use of this machine, and how large what it fetches and makes may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentLimits {
    /// Bytes of memory of one build; `None`: not limited.
    pub memory_bytes_max: Option<u64>,
    /// Processes and threads of one build at a time; `u32::MAX`: not limited.
    pub processes_max: u32,
    /// Bytes that one build may have on disk; `None`: not limited.
    pub disk_bytes_max: Option<u64>,
    /// Bytes of log that one build may write in a second, else it waits; `None`: not limited.
    pub log_bytes_per_sec_max: Option<u64>,
    /// Bytes of all outputs of one build together; `None`: not limited.
    pub outputs_bytes_max: Option<u64>,
    /// Bytes of one file of a source.
    pub source_bytes_max: u64,
    /// Bytes of one package of the environment, and of one output.
    pub package_bytes_max: u64,
}

impl Default for EnvironmentLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: None,
            processes_max: 16_384,
            disk_bytes_max: None,
            log_bytes_per_sec_max: None,
            outputs_bytes_max: None,
            source_bytes_max: 4 << 30,
            package_bytes_max: 8 << 30,
        }
    }
}
