//! The tool's own health as far as the snapshot does not tell it: filled by whoever runs the probe.

/// State of the kernel side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Kernel programs by name, and whether they are attached. Names are those of the object file: a closed set.
    pub probes: Vec<(String, bool)>,
    /// Run statistics, where the kernel keeps them.
    pub programs: Vec<ProgramRun>,
    /// Connections that can be watched, and that are.
    pub slots: u64,
    pub slots_used: u64,
}

/// What the kernel counted for one program (`bpf_prog_info`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramRun {
    pub name: String,
    pub run_time_ns: u64,
    pub runs: u64,
}
