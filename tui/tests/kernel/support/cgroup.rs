//! A cgroup v2 folder of a test's own, removed with everything in it.

use super::tools;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where cgroup v2 is mounted.
pub(crate) fn mount() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (folder, kind) = (fields.next()?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(folder))
        })
        .next()
        .expect("no cgroup v2 is mounted: mount one, for example `mount -t cgroup2 none /sys/fs/cgroup`")
}

#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        tools::require_root();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = mount().join(format!("h2watch-test-{name}-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        Self { folder }
    }

    /// A cgroup inside this one, to be dropped before it.
    pub(crate) fn inner(&self, name: &str) -> Self {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Makes `command` start inside this cgroup.
    pub(crate) fn start_inside(&self, command: &mut Command) {
        let procs = self.folder.join("cgroup.procs");
        // SAFETY: between fork and exec only this write happens; the path was allocated before.
        unsafe { command.pre_exec(move || fs::write(&procs, "0")) };
    }

    /// Numbers of the BPF programs that are attached here.
    pub(crate) fn attached_programs(&self) -> Vec<u64> {
        attached_programs(&self.folder)
    }
}

/// Numbers of the BPF programs that are attached to a cgroup.
pub(crate) fn attached_programs(folder: &Path) -> Vec<u64> {
    let shown = tools::run("bpftool", &["-j", "cgroup", "show", folder.to_str().expect("an ASCII path")]);
    if shown.trim().is_empty() {
        return Vec::new();
    }
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("bpftool prints JSON");
    shown.as_array().into_iter().flatten().filter_map(|program| program["id"].as_u64()).collect()
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        for _ in 0..500 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
