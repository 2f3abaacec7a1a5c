//! Which sockets a process holds, by inode, from `/proc/PID/fd`.

use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// Inodes of all sockets (of any protocol) that the process has open, each once. A file descriptor that is closed while
/// this reads is left out.
pub fn sockets_of(pid: u32) -> Result<Vec<u64>> {
    let folder = format!("/proc/{pid}/fd");
    let entries = std::fs::read_dir(&folder).with_context(|| {
        format!("cannot read {folder}: the process has ended, or reading it needs root or CAP_SYS_PTRACE")
    })?;
    let inodes: BTreeSet<u64> = entries
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| inode(link.to_str()?))
        .collect();
    Ok(inodes.into_iter().collect())
}

fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_have_a_socket_inode() {
        assert_eq!(inode("socket:[4711]"), Some(4711));
        assert_eq!(inode("pipe:[4711]"), None);
        assert_eq!(inode("/tmp/socket:[4711]"), None);
    }
}
