//! A cgroup for the load generator alone: only its traffic is watched, nothing else of the machine.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    pub(super) fn make() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
        let mount = cgroup2_mount(&mounts)
            .context("no cgroup v2 is mounted: mount -t cgroup2 none /sys/fs/cgroup")?;
        let folder = Path::new(mount).join(format!("h2watch-bench-{}", std::process::id()));
        fs::create_dir(&folder)
            .with_context(|| format!("cannot make the cgroup {} (as root?)", folder.display()))?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The command will run in it from its first instruction on.
    pub(super) fn hold(&self, command: &mut Command) -> Result<()> {
        let procs = fs::OpenOptions::new()
            .write(true)
            .open(self.0.join("cgroup.procs"))
            .context("cannot open cgroup.procs")?;
        let enter = move || {
            use std::io::Write;
            // "0" is the writing process itself.
            (&procs).write_all(b"0")
        };
        // SAFETY: between fork and exec only one write() on an open descriptor happens, which is async-signal-safe.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            crate::say::complaint(&format!("the cgroup {} is still there: {error}", self.0.display()));
        }
    }
}

fn cgroup2_mount(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let folder = fields.next()?;
        (fields.next()? == "cgroup2").then_some(folder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_beside_version_1() {
        let mounts =
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\nnone /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2_mount(mounts), Some("/sys/fs/cgroup/unified"));
        assert_eq!(cgroup2_mount("proc /proc proc rw 0 0\n"), None);
    }
}
