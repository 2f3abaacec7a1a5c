//! What the kernel says of the programs that are loaded: whether they still watch something, and what they cost.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

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
        let required = self.required_programs();
        let attached = any_exists(&self.attached);
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
        self.used().map(|slot| self.slots.read_cookie(slot))
    }

    /// Connections that can be watched at once.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }
}

/// A cgroup that was removed takes its programs with it; one of the same name that comes after it is another one.
fn any_exists(attached: &HashMap<u64, PathBuf>) -> bool {
    attached.iter().any(|(&inode, path)| fs::metadata(path).is_ok_and(|metadata| metadata.ino() == inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_made_anew_is_not_the_one_that_was_attached() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("unit.service");
        fs::create_dir(&path).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        assert!(any_exists(&HashMap::from([(inode, path.clone())])));
        assert!(!any_exists(&HashMap::from([(inode + 1, path.clone())])));
        fs::remove_dir(&path).unwrap();
        assert!(!any_exists(&HashMap::from([(inode, path)])));
        assert!(!any_exists(&HashMap::new()));
    }
}
