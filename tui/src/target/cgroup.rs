//! The cgroup v2 hierarchy: where it is mounted, where a process sits in it, and a cgroup of our own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::read_proc;

/// The mounted cgroup v2 hierarchy.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    mount: PathBuf,
}

impl Hierarchy {
    /// Finds the mount.
    ///
    /// # Errors
    /// There is none.
    pub fn find_mount() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
        let mount = mounts.lines().find_map(cgroup2_mount).context(
            "no cgroup v2 hierarchy is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup` (or, beside cgroup \
             v1, /sys/fs/cgroup/unified), or boot with systemd.unified_cgroup_hierarchy=1",
        )?;
        Ok(Self { mount })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The directory of a process's cgroup.
    ///
    /// # Errors
    /// The process does not exist, or its cgroup is outside this mount (another cgroup namespace).
    pub fn of_process(&self, pid: u32) -> Result<PathBuf> {
        let text = read_proc(pid, "cgroup")?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).with_context(|| {
            format!("process {pid} is in no cgroup v2 (/proc/{pid}/cgroup has no line 0::)")
        })?;
        let directory = self.mount.join(path.trim_start_matches('/'));
        if path.starts_with("/..") || !directory.is_dir() {
            bail!(
                "the cgroup {path} of process {pid} is not visible below {}: run h2watch in the host's cgroup namespace",
                self.mount.display()
            );
        }
        Ok(directory)
    }

    /// The path of a process's cgroup below the mount, with a leading slash.
    #[must_use]
    pub fn path_of_process(&self, pid: u32) -> Option<String> {
        let text = read_proc(pid, "cgroup").ok()?;
        text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
    }
}

/// The mount point of a mountinfo line of type cgroup2. Format: proc_pid_mountinfo(5); spaces are octal there.
fn cgroup2_mount(line: &str) -> Option<PathBuf> {
    let (fields, filesystem) = line.split_once(" - ")?;
    let root = fields.split(' ').nth(3)?;
    let mount = fields.split(' ').nth(4)?;
    (filesystem.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(mount.replace("\\040", " ")))
}

/// A cgroup made for one run; removed when dropped.
#[derive(Debug)]
pub struct OwnCgroup {
    path: PathBuf,
}

impl OwnCgroup {
    /// Makes one below the cgroup that this process is in.
    ///
    /// # Errors
    /// No rights, or the hierarchy is read-only.
    pub fn create(hierarchy: &Hierarchy) -> Result<Self> {
        let parent = hierarchy.of_process(std::process::id())?;
        remove_left_over(&parent);
        for attempt in 0..100 {
            let path = parent.join(format!("h2watch-{}-{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("making the cgroup {}", path.display()));
                }
            }
        }
        bail!(
            "a hundred cgroups of this process id are left below {}: remove them with rmdir",
            parent.display()
        )
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes cgroups of runs that were killed: named after a process that is gone, and empty (rmdir refuses others).
fn remove_left_over(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|name| name.strip_prefix("h2watch-")?.split_once('-')?.0.parse().ok());
        if pid.is_some_and(|pid| !super::process::exists(pid)) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        // A process that is being reaped holds its cgroup a moment longer; one that stays keeps it, and is not killed.
        let give_up = Instant::now() + Duration::from_secs(1);
        while fs::remove_dir(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy) {
            if Instant::now() > give_up {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_among_others() {
        let v1 = "36 25 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu";
        let v2 = "42 25 0:37 / /sys/fs/cgroup/my\\040unified rw,relatime shared:16 - cgroup2 cgroup2 rw";
        assert_eq!(cgroup2_mount(v1), None);
        assert_eq!(cgroup2_mount(v2), Some(PathBuf::from("/sys/fs/cgroup/my unified")));
        // A bind mount of one cgroup is not the hierarchy.
        assert_eq!(cgroup2_mount(&v2.replace(" / /sys", " /a/b /sys")), None);
    }
}
