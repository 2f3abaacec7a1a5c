//! From the argument of `--cgroup` to a directory below the cgroup v2 mount: a path, a systemd unit or a container id.
//!
//! Reads directories only. A unit or an id that fits several cgroups is refused with the list: never a guess.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Docker accepts any unique prefix; shorter than this is more likely a mistake than an id.
const MIN_ID_DIGITS: usize = 8;

/// A cgroup tree deeper than this is not searched: Kubernetes in a container in a session has 9 levels.
const MAX_DEPTH: usize = 16;

/// Suffixes of units that have cgroups.
const UNIT_SUFFIXES: [&str; 3] = [".service", ".scope", ".slice"];

/// Finds the cgroup directory that `argument` means, below `mount` (the cgroup v2 mount point).
///
/// # Errors
/// When there is none, when it is not unique, or when the mount cannot be read.
pub fn cgroup_directory(mount: &Path, argument: &str) -> Result<PathBuf> {
    if argument.is_empty() {
        bail!("--cgroup: the argument is empty: give a path, a systemd unit or a container id");
    }
    if argument.contains('/') {
        return by_path(mount, argument);
    }
    if UNIT_SUFFIXES.iter().any(|suffix| argument.ends_with(suffix)) {
        return unique(argument, "unit", find(mount, &|name| name == argument)?);
    }
    if argument.len() >= MIN_ID_DIGITS && argument.bytes().all(|b| b.is_ascii_hexdigit()) {
        let id = argument.to_ascii_lowercase();
        return unique(argument, "container", find(mount, &|name| is_container(name, &id))?);
    }
    // A plain name: a cgroup directly below the mount, or a service, as in `systemctl status nginx`.
    if let Ok(directory) = by_path(mount, argument) {
        return Ok(directory);
    }
    let service = format!("{argument}.service");
    unique(argument, "unit", find(mount, &|name| name == service)?)
}

/// Absolute with the mount point, or as `/proc/PID/cgroup` shows it.
fn by_path(mount: &Path, argument: &str) -> Result<PathBuf> {
    let below = Path::new(argument).strip_prefix(mount).unwrap_or(Path::new(argument));
    let below = below.strip_prefix("/").unwrap_or(below);
    if below.components().any(|c| c == std::path::Component::ParentDir) {
        bail!("--cgroup {argument}: '..' in a cgroup path could leave {}", mount.display());
    }
    let directory = mount.join(below);
    let metadata = fs::metadata(&directory)
        .with_context(|| format!("--cgroup {argument}: no cgroup at {}", directory.display()))?;
    if !metadata.is_dir() {
        bail!("--cgroup {argument}: {} is not a directory", directory.display());
    }
    Ok(directory)
}

fn is_container(name: &str, id: &str) -> bool {
    let path = format!("/{name}");
    super::identity::Identity::of_cgroup(&path).container.is_some_and(|container| container.starts_with(id))
}

fn unique(argument: &str, what: &str, mut found: Vec<PathBuf>) -> Result<PathBuf> {
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!(
            "--cgroup {argument}: no cgroup of such a {what}: is it running? \
             `systemd-cgls` or /proc/PID/cgroup of one of its processes shows the path"
        ),
        count => {
            let paths: Vec<String> = found.iter().take(5).map(|path| path.display().to_string()).collect();
            bail!("--cgroup {argument}: {count} cgroups fit, give a path instead: {}", paths.join(", "))
        }
    }
}

/// Every directory whose name fits. Its children are not searched: a container may hold a cgroup of the same name.
fn find(mount: &Path, fits: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    fs::read_dir(mount).with_context(|| format!("cannot read the cgroup v2 mount {}", mount.display()))?;
    let mut found = Vec::new();
    let mut queue = vec![(mount.to_owned(), 0)];
    while let Some((directory, depth)) = queue.pop() {
        // A cgroup may go away while it is searched.
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_str().is_some_and(fits) {
                found.push(entry.path());
            } else if depth < MAX_DEPTH {
                queue.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn tree() -> tempfile::TempDir {
        let mount = tempfile::tempdir().unwrap();
        let id = ID;
        for path in [
            "system.slice/nginx.service".to_owned(),
            format!("system.slice/docker-{id}.scope/inner"),
            format!("machine.slice/libpod-conmon-{id}.scope"),
            "user.slice/user-1.slice/app.service".to_owned(),
            "user.slice/user-2.slice/app.service".to_owned(),
            "bench".to_owned(),
        ] {
            fs::create_dir_all(mount.path().join(path)).unwrap();
        }
        fs::write(mount.path().join("cgroup.procs"), "").unwrap();
        mount
    }

    fn found(argument: &str) -> Result<String> {
        let mount = tree();
        let directory =
            cgroup_directory(mount.path(), &argument.replace("MOUNT", mount.path().to_str().unwrap()))?;
        Ok(directory.strip_prefix(mount.path()).unwrap().display().to_string())
    }

    #[test]
    fn every_form_of_argument() {
        let docker = format!("system.slice/docker-{ID}.scope");
        for (argument, directory) in [
            ("/system.slice/nginx.service", "system.slice/nginx.service"),
            ("system.slice/nginx.service", "system.slice/nginx.service"),
            ("MOUNT/system.slice/nginx.service", "system.slice/nginx.service"),
            ("nginx.service", "system.slice/nginx.service"),
            ("nginx", "system.slice/nginx.service"),
            ("system.slice", "system.slice"),
            ("bench", "bench"),
            ("/", ""),
            (ID, docker.as_str()),
            (&ID[..12], docker.as_str()),
            ("0123456789AB", docker.as_str()),
        ] {
            assert_eq!(found(argument).unwrap(), directory, "{argument}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_the_reason() {
        for (argument, words) in [
            ("", "is empty"),
            ("/../../etc", "could leave"),
            ("/nothing/here", "no cgroup at"),
            ("cgroup.procs", "no cgroup of such a unit"),
            ("app.service", "2 cgroups fit"),
            ("gone.service", "is it running?"),
            ("fedcba9876543210", "no cgroup of such a container"),
        ] {
            let error = format!("{:#}", found(argument).unwrap_err());
            assert!(error.contains(words), "{argument}: {error}");
        }
    }
}
