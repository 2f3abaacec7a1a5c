//! What the kernel says of the programs that are loaded: whether they still watch something, and what they cost.

use super::attach::Probe;

/// One kernel program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramState {
    /// Its name in the object file.
    pub name: String,
    /// `Some` for the programs that a watch cannot be without: whether they are attached to anything that exists.
    pub attached: Option<bool>,
    /// Both 0 unless the kernel measures programs (`kernel.bpf_stats_enabled`).
    pub run_time_ns: u64,
    pub runs: u64,
}

impl Probe {
    /// The programs that are loaded, sorted by name. One system call for each.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramState> {
        let required = self.hooks().map(|(name, _)| name);
        let attached = self.cgroups.any_exists();
        let mut programs: Vec<ProgramState> = self
            .bpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                Some(ProgramState {
                    name: name.to_owned(),
                    attached: required.contains(&name).then_some(attached),
                    run_time_ns: u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX),
                    runs: info.run_count(),
                })
            })
            .collect();
        let uprobe = |(name, run_time_ns, runs)| ProgramState { name, attached: None, run_time_ns, runs };
        programs.extend(self.uprobes.costs().into_iter().map(uprobe));
        programs.sort_by(|a, b| a.name.cmp(&b.name));
        programs
    }

    /// The connections that are watched now.
    pub fn cookies(&self) -> impl Iterator<Item = u64> + '_ {
        self.used().map(|(_, cookie)| cookie)
    }

    /// Connections that can be watched at once.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }
}
