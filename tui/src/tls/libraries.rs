//! Which executable files a process has mapped, opened as that process sees them.
//!
//! Paths of another mount namespace mean nothing here, and a path may hold another file by now than the one that runs. So
//! files are opened through `/proc/PID/map_files`, which leads to the mapped inode itself, deleted or not. Where that is
//! refused, through `/proc/PID/root` with a check of the inode. The open file is kept: what was analysed is what is probed.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};

/// One line of `/proc/PID/maps` that holds code of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapping {
    /// Name in `/proc/PID/map_files`.
    range: String,
    inode: u64,
    device: String,
    path: String,
    deleted: bool,
}

/// What tells one file's contents from another's. A rewrite in place changes the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub modified_ns: i128,
    pub changed_ns: i128,
}

/// An executable file that a process has mapped.
#[derive(Clone, Debug)]
pub struct MappedFile {
    /// As the process sees it.
    pub path: String,
    pub deleted: bool,
    pub file: Arc<File>,
    pub identity: Identity,
}

impl MappedFile {
    /// A path by which the kernel finds exactly this file as long as `self.file` is open.
    #[must_use]
    pub fn probe_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// What tells its contents as they are now; `None` when the file cannot be asked.
    #[must_use]
    pub fn identity_now(&self) -> Option<Identity> {
        Some(identity(&self.file.metadata().ok()?))
    }

    /// Last component of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Executable files of a process, each once, its program first; and for the ones that could not be opened, why.
#[derive(Debug, Default)]
pub struct Executables {
    pub files: Vec<MappedFile>,
    pub refused: Vec<String>,
}

/// Looks through the mappings of `pid`.
///
/// # Errors
/// The process is gone, or its maps may not be read.
pub fn executables(pid: u32) -> Result<Executables> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| explain(pid, &error))?;
    let mut found = Executables::default();
    let mut seen = HashSet::new();
    for mapping in code_mappings(&maps) {
        if !seen.insert((mapping.device.clone(), mapping.inode)) {
            continue;
        }
        match open(pid, &mapping) {
            Ok(file) => found.files.push(file),
            Err(error) => found.refused.push(format!("{}: {error:#}", mapping.path)),
        }
    }
    let program = std::fs::metadata(format!("/proc/{pid}/exe")).map(|meta| (meta.dev(), meta.ino())).ok();
    found.files.sort_by_key(|file| Some((file.identity.device, file.identity.inode)) != program);
    Ok(found)
}

fn explain(pid: u32, error: &io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => anyhow::anyhow!("process {pid} has ended"),
        Some(libc::EACCES | libc::EPERM) => {
            anyhow::anyhow!("/proc/{pid}/maps may not be read: run h2watch as root")
        }
        _ => anyhow::anyhow!("/proc/{pid}/maps cannot be read: {error}"),
    }
}

fn code_mappings(maps: &str) -> impl Iterator<Item = Mapping> {
    maps.lines().filter_map(|line| {
        let mut fields = line.splitn(6, ' ');
        let (range, permissions, _offset) = (fields.next()?, fields.next()?, fields.next()?);
        let (device, inode) = (fields.next()?, fields.next()?.parse().ok()?);
        let path = fields.next()?.trim_start();
        if permissions.as_bytes().get(2) != Some(&b'x') || inode == 0 || !path.starts_with('/') {
            return None;
        }
        let (path, deleted) = path.strip_suffix(" (deleted)").map_or((path, false), |path| (path, true));
        // `maps` pads addresses to eight digits (programs that are not position independent), `map_files` does not.
        let (begin, end) = range.split_once('-')?;
        Some(Mapping {
            range: format!("{}-{}", begin.trim_start_matches('0'), end.trim_start_matches('0')),
            inode,
            device: device.to_owned(),
            path: path.to_owned(),
            deleted,
        })
    })
}

fn open(pid: u32, mapping: &Mapping) -> Result<MappedFile> {
    let exact = File::open(format!("/proc/{pid}/map_files/{}", mapping.range));
    let (file, through_map) = match exact {
        Ok(file) => (file, true),
        Err(_) if mapping.deleted => anyhow::bail!("deleted, and /proc/{pid}/map_files may not be read"),
        Err(_) => {
            let path = format!("/proc/{pid}/root{}", mapping.path);
            (File::open(&path).with_context(|| format!("cannot open {path}"))?, false)
        }
    };
    let file = opened(file, &mapping.path, mapping.deleted)?;
    anyhow::ensure!(
        through_map || file.identity.inode == mapping.inode,
        "replaced since the process mapped it"
    );
    Ok(file)
}

fn opened(file: File, path: &str, deleted: bool) -> Result<MappedFile> {
    let meta = file.metadata().context("cannot stat")?;
    anyhow::ensure!(meta.is_file(), "not a regular file");
    let identity = identity(&meta);
    Ok(MappedFile { path: path.to_owned(), deleted, file: Arc::new(file), identity })
}

fn identity(meta: &Metadata) -> Identity {
    let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
    Identity {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.len(),
        modified_ns: ns(meta.mtime(), meta.mtime_nsec()),
        changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
    }
}

/// The TLS libraries of the host's usual folders.
#[must_use]
pub fn of_host() -> Vec<PathBuf> {
    const FOLDERS: [&str; 7] = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/lib64",
        "/lib",
    ];
    let libraries = FOLDERS.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let tls = libraries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        ["libssl.so.", "libgnutls.so.", "libcrypto.so."].iter().any(|start| name.starts_with(start))
    });
    tls.collect()
}

/// Opens files by their paths in this process's own mount namespace, each once.
#[must_use]
pub fn by_path(paths: &[PathBuf]) -> Vec<MappedFile> {
    let mut seen = HashSet::new();
    let opened = paths.iter().filter_map(|path| opened(File::open(path).ok()?, path.to_str()?, false).ok());
    opened.filter(|file| seen.insert(file.identity)).collect()
}

/// When the process started, in clock ticks since boot: tells it from a later one with the same id.
///
/// # Errors
/// The process is gone.
pub fn start_time_ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| explain(pid, &error))?;
    // The name is in parentheses and may hold anything; starttime is field 22, so the 20th after it (proc(5)).
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name
        .split_whitespace()
        .nth(19)
        .and_then(|field| field.parse().ok())
        .with_context(|| format!("/proc/{pid}/stat"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAPS: &str = "\
5581-5590 r--p 00000000 fd:00 77                         /usr/bin/node
5590-55a0 r-xp 00001000 fd:00 77                         /usr/bin/node
55a0-55b0 r-xp 00001000 fd:00 78                         /opt/a b/libssl.so.3 (deleted)
7ffc-7ffd r-xp 00000000 00:00 0                          [vdso]
7ffe-7fff rwxp 00000000 00:00 0 
";

    #[test]
    fn addresses_are_written_as_in_map_files() {
        let line = "00401000-0066a000 r-xp 00001000 fd:00 9 /opt/client (deleted)";
        assert_eq!(code_mappings(line).next().unwrap().range, "401000-66a000");
    }

    #[test]
    fn code_of_files_is_found_also_with_spaces_and_deleted() {
        let all: Vec<Mapping> = code_mappings(MAPS).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].range.as_str(), all[0].deleted), ("5590-55a0", false));
        assert_eq!((all[1].path.as_str(), all[1].deleted), ("/opt/a b/libssl.so.3", true));
    }

    #[test]
    fn own_program_comes_first_and_can_be_reached_for_a_probe() {
        let found = executables(std::process::id()).unwrap();
        let own = std::fs::metadata("/proc/self/exe").unwrap();
        assert_eq!(found.files[0].identity.inode, own.ino());
        assert_eq!(std::fs::metadata(found.files[0].probe_path()).unwrap().ino(), own.ino());
    }

    #[test]
    fn an_ended_process_is_said_to_have_ended() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(executables(pid).unwrap_err().to_string(), format!("process {pid} has ended"));
        assert!(start_time_ticks(pid).is_err());
        assert!(start_time_ticks(std::process::id()).unwrap() > 0);
    }

    proptest! {
        #[test]
        fn arbitrary_maps_never_panic(text in ".*") {
            let _ = code_mappings(&text).count();
        }
    }
}
