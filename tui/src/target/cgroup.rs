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
    /// Where this process's cgroup namespace begins, below the mount: `/proc/PID/cgroup` is told from there. `None` where that
    /// could not be found out.
    namespace: Option<PathBuf>,
}

impl Hierarchy {
    /// Finds the mount. In a cgroup namespace of its own, h2watch sees most through the host's mount, if it is given one.
    ///
    /// # Errors
    /// There is none.
    pub fn find_mount() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
        let Mount { point: mount, levels } = widest_mount(&mounts).context(
            "no cgroup v2 hierarchy is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup` (or, beside cgroup \
             v1, /sys/fs/cgroup/unified), or boot with systemd.unified_cgroup_hierarchy=1",
        )?;
        let namespace = if levels == 0 { Some(PathBuf::new()) } else { namespace_below(&mount) };
        Ok(Self { mount, namespace })
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
        let path = unified(&read_proc(pid, "cgroup")?).with_context(|| {
            format!("process {pid} is in no cgroup v2 (/proc/{pid}/cgroup has no line 0::)")
        })?;
        let directory = self.below(&path).map(|below| self.mount.join(below));
        directory.filter(|directory| directory.is_dir()).with_context(|| {
            format!(
                "the cgroup {path} of process {pid} is not visible below {}: run h2watch in the host's cgroup namespace, or \
                 give it the host's cgroup v2 mount",
                self.mount.display()
            )
        })
    }

    /// The path of a process's cgroup below the mount, with a leading slash; as the kernel tells it where it is outside.
    #[must_use]
    pub fn path_of_process(&self, pid: u32) -> Option<String> {
        let path = unified(&read_proc(pid, "cgroup").ok()?)?;
        Some(self.below(&path).map_or(path, |below| format!("/{}", below.display())))
    }

    /// From a path of `/proc/PID/cgroup` to one below the mount. `..` leads out of the namespace, and out of a mount that does not
    /// reach that far.
    fn below(&self, path: &str) -> Option<PathBuf> {
        let mut below = self.namespace.clone()?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if name != ".." {
                below.push(name);
            } else if !below.pop() {
                return None;
            }
        }
        Some(below)
    }
}

/// The cgroup v2 line of `/proc/PID/cgroup`.
fn unified(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// A mount of cgroup v2.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    /// How far above the own cgroup namespace it begins. The host's mount shows root `/../..` in a namespace two levels below
    /// it: cgroup_namespaces(7).
    levels: usize,
}

impl Mount {
    /// From a line of mountinfo. Format: proc_pid_mountinfo(5); spaces are octal there. A mount of one cgroup inside is not the
    /// hierarchy.
    fn parse(line: &str) -> Option<Self> {
        let (fields, filesystem) = line.split_once(" - ")?;
        let root = fields.split(' ').nth(3)?;
        let point = PathBuf::from(fields.split(' ').nth(4)?.replace("\\040", " "));
        let above: Vec<&str> = root.split('/').filter(|name| !name.is_empty()).collect();
        let whole = filesystem.starts_with("cgroup2 ") && above.iter().all(|&name| name == "..");
        whole.then_some(Self { point, levels: above.len() })
    }
}

/// The mount that shows most; the first of several. Of those at one place the last is on top.
fn widest_mount(mounts: &str) -> Option<Mount> {
    let mut found: Vec<Mount> = Vec::new();
    for mount in mounts.lines().filter_map(Mount::parse) {
        found.retain(|under| under.point != mount.point);
        found.push(mount);
    }
    let most = found.iter().map(|mount| mount.levels).max()?;
    found.into_iter().find(|mount| mount.levels == most)
}

/// Where the own cgroup namespace begins below a mount that begins above it. No file tells the names between; but this process is
/// listed in its cgroup, wherever that is.
fn namespace_below(mount: &Path) -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| unified(&text))?;
    let pid = std::process::id().to_string();
    let mut directories = vec![mount.to_owned()];
    while let Some(directory) = directories.pop() {
        let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        if processes.lines().any(|line| line == pid) {
            return begin_of(directory.strip_prefix(mount).ok()?, &own);
        }
        directories.extend(super::process::directories_in(&directory));
    }
    None
}

/// Takes the path inside of the namespace off the end of the path below the mount.
fn begin_of(below_mount: &Path, inside: &str) -> Option<PathBuf> {
    let inside = Path::new(inside.trim_start_matches('/'));
    let names = below_mount.ends_with(inside).then(|| inside.components().count())?;
    below_mount.ancestors().nth(names).map(Path::to_owned)
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
        let found = |lines: &[&str]| widest_mount(&lines.join("\n")).map(|m| (m.point, m.levels));
        let mount = |point: &str, levels| Some((PathBuf::from(point), levels));
        assert_eq!(found(&[v1]), None);
        assert_eq!(found(&[v1, v2]), mount("/sys/fs/cgroup/my unified", 0));
        // A bind mount of one cgroup is not the hierarchy, seen from inside or outside.
        assert_eq!(found(&[&v2.replace(" / /sys", " /a/b /sys")]), None);
        assert_eq!(found(&[&v2.replace(" / /sys", " /../a /sys")]), None);
        // A container's own mount, and the host's beside it or on top of it.
        let host = v2.replace(" / /sys", " /../.. /host/sys");
        assert_eq!(found(&[v2, &host]), mount("/host/sys/fs/cgroup/my unified", 2));
        assert_eq!(found(&[&host, v2]), mount("/host/sys/fs/cgroup/my unified", 2));
        let on_top = v2.replace(" / /sys", " /.. /sys");
        assert_eq!(found(&[v2, &on_top]), mount("/sys/fs/cgroup/my unified", 1));
        assert_eq!(found(&[&on_top, v2]), mount("/sys/fs/cgroup/my unified", 0), "hidden");
    }

    #[test]
    fn paths_are_told_from_where_the_namespace_begins() {
        let below = |namespace: &str, path: &str| {
            let hierarchy = Hierarchy { mount: PathBuf::new(), namespace: Some(namespace.into()) };
            hierarchy.below(path).map(|below| below.display().to_string())
        };
        for (namespace, path, expected) in [
            ("", "/", Some("")),
            ("", "/a.slice/b.service", Some("a.slice/b.service")),
            ("", "/..", None),
            ("", "/..a", Some("..a")),
            ("pods/x", "/", Some("pods/x")),
            ("pods/x", "/inner", Some("pods/x/inner")),
            ("pods/x", "/../y", Some("pods/y")),
            ("pods/x", "/../..", Some("")),
            ("pods/x", "/../../a.slice/b.service", Some("a.slice/b.service")),
            ("pods/x", "/../../..", None),
        ] {
            assert_eq!(below(namespace, path).as_deref(), expected, "{path} in {namespace}");
        }
    }

    #[test]
    fn the_namespace_begins_above_the_own_cgroup() {
        let begin = |below, inside| begin_of(Path::new(below), inside).map(|p| p.display().to_string());
        assert_eq!(begin("pods/x", "/").as_deref(), Some("pods/x"));
        assert_eq!(begin("pods/x/inner/most", "/inner/most").as_deref(), Some("pods/x"));
        // The process was moved out of its namespace.
        assert_eq!(begin("pods/y", "/../y"), None);
    }
}
