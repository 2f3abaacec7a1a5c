//! Whom to watch: selectors turned into cgroups to attach to and processes to follow.

pub mod cgroup;
pub mod command;
pub mod identity;
pub mod names;
pub mod process;
pub mod resolve;

pub use command::Child;
pub use names::Names;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cli::Selector;
use cgroup::Hierarchy;

/// What a selector means on this host.
#[derive(Debug)]
pub enum Target {
    /// Processes by id.
    Processes(Vec<u32>),
    /// Processes by name, now and later.
    Named(Names),
    /// Everything in a cgroup.
    Cgroup(PathBuf),
}

impl Target {
    /// Checks that what the selector names exists.
    ///
    /// # Errors
    /// A process or cgroup that does not exist, or nothing to watch at all.
    pub fn resolve(selector: &Selector, hierarchy: &Hierarchy) -> Result<Self> {
        if selector.all {
            return Ok(Self::Cgroup(hierarchy.mount().to_owned()));
        }
        if let Some(name) = &selector.cgroup {
            return resolve::cgroup_directory(hierarchy.mount(), name).map(Self::Cgroup);
        }
        if let Some(comm) = &selector.comm {
            return Ok(Self::Named(comm.clone()));
        }
        if selector.pids.is_empty() {
            bail!(
                "nothing to watch: name a process (--pid N), a cgroup (--cgroup PATH), the whole host (--all), or a command \
                 to run (h2watch -- COMMAND)"
            );
        }
        for &pid in &selector.pids {
            if !process::exists(pid) {
                bail!("there is no process {pid}: it may have ended; `pgrep -a NAME` finds its id");
            }
        }
        Ok(Self::Processes(selector.pids.clone()))
    }

    /// The processes to follow now; `None` for a whole cgroup.
    #[must_use]
    pub fn processes(&self) -> Option<Vec<u32>> {
        match self {
            Self::Processes(pids) => Some(pids.clone()),
            Self::Named(names) => Some(process::named(names)),
            Self::Cgroup(_) => None,
        }
    }

    /// The cgroups that hold the target now, and why some processes are in none of them.
    #[must_use]
    pub fn cgroups(&self, hierarchy: &Hierarchy) -> (Vec<PathBuf>, Vec<anyhow::Error>) {
        if let Self::Cgroup(path) = self {
            return (vec![path.clone()], Vec::new());
        }
        let (mut paths, mut errors) = (Vec::new(), Vec::new());
        for pid in self.processes().unwrap_or_default() {
            match hierarchy.of_process(pid) {
                Ok(path) => paths.push(path),
                // It has ended meanwhile.
                Err(_) if matches!(self, Self::Named(_)) && !process::exists(pid) => {}
                Err(error) => errors.push(error),
            }
        }
        (without_nested(paths), errors)
    }

    /// In words, for headers.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Processes(pids) => {
                let names: Vec<String> = pids
                    .iter()
                    .map(|&pid| format!("{} ({pid})", process::comm(pid).unwrap_or_else(|| "?".to_owned())))
                    .collect();
                names.join(", ")
            }
            Self::Named(names) => format!("processes named {names}"),
            Self::Cgroup(path) => format!("cgroup {}", path.display()),
        }
    }
}

/// A cgroup inside another one of the list is covered by it: attaching to both would count twice.
fn without_nested(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

/// Reads a file of /proc with the process in the error.
fn read_proc(pid: u32, file: &str) -> Result<String> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    std::fs::read_to_string(&path)
        .with_context(|| format!("reading {} (did process {pid} end?)", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_cgroups_are_attached_once() {
        let paths = ["/a/b", "/a", "/ab", "/c/d"].map(PathBuf::from).to_vec();
        assert_eq!(without_nested(paths), ["/a", "/ab", "/c/d"].map(PathBuf::from));
    }
}
