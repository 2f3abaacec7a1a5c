//! What /proc says of a process.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Names, read_proc};

/// True while the process exists (a zombie does not count: it has no sockets).
#[must_use]
pub fn exists(pid: u32) -> bool {
    // The state is the first field behind the name, which may itself hold parentheses: proc_pid_stat(5).
    read_proc(pid, "stat")
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

/// Name of the process (its main thread's).
#[must_use]
pub fn comm(pid: u32) -> Option<String> {
    read_proc(pid, "comm").ok().map(|comm| comm.trim_end_matches('\n').to_owned())
}

/// Every process id.
#[must_use]
pub fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Every process with one of these names.
#[must_use]
pub fn named(names: &Names) -> Vec<u32> {
    all().into_iter().filter(|&pid| comm(pid).is_some_and(|comm| names.matches(&comm))).collect()
}

/// The processes of a cgroup and of the cgroups inside it.
#[must_use]
pub fn in_cgroup(directory: &Path) -> Vec<u32> {
    let mut pids = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        if let Ok(text) = fs::read_to_string(directory.join("cgroup.procs")) {
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        directories.extend(directories_in(&directory));
    }
    pids
}

/// The cgroups right inside one.
pub(super) fn directories_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_directory).map(|entry| entry.path()).collect()
}
