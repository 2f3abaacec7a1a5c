//! Network namespaces: which one a process is in, and how to get a sock_diag socket inside it.
//!
//! A socket belongs to the namespace it was made in, from whatever thread it is used later. So a short-lived thread enters
//! the namespace, makes the sockets and ends: no other thread of this program ever changes its namespace.

use anyhow::{Context, Result, anyhow};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::fs::MetadataExt;

/// Identity of a namespace: device and inode of its nsfs file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetnsId {
    device: u64,
    inode: u64,
}

impl std::fmt::Display for NetnsId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}

/// A network namespace, kept alive while this exists.
#[derive(Debug)]
pub struct Netns {
    file: File,
    id: NetnsId,
    path: String,
}

impl Netns {
    /// The namespace of a process.
    pub fn of_pid(pid: u32) -> Result<Self> {
        Self::of_path(format!("/proc/{pid}/ns/net"))
    }

    /// The namespace of the calling thread.
    pub fn own() -> Result<Self> {
        Self::of_path("/proc/thread-self/ns/net".to_owned())
    }

    fn of_path(path: String) -> Result<Self> {
        let file = File::open(&path).with_context(|| {
            format!("cannot open {path}: the process has ended, or reading it needs root or CAP_SYS_PTRACE")
        })?;
        let meta = file.metadata().with_context(|| format!("cannot stat {path}"))?;
        Ok(Self { file, id: NetnsId { device: meta.st_dev(), inode: meta.st_ino() }, path })
    }

    /// Identity, the same for all processes of the namespace.
    #[must_use]
    pub fn id(&self) -> NetnsId {
        self.id
    }

    /// A NETLINK_SOCK_DIAG socket inside the namespace.
    pub(super) fn netlink(&self) -> Result<OwnedFd> {
        self.within(|| {
            let flags = SocketFlags::CLOEXEC;
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))
                .context("cannot open a NETLINK_SOCK_DIAG socket (a seccomp filter without AF_NETLINK?)")
        })
    }

    /// `net.ipv4.tcp_retries2` of the namespace: after how many backoffs the kernel gives a connection up.
    pub fn tcp_retries2(&self) -> Result<u32> {
        let path = "/proc/sys/net/ipv4/tcp_retries2";
        // The kernel resolves this path in the namespace of the reading thread.
        let text =
            self.within(|| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}")))?;
        text.trim().parse().with_context(|| format!("{path} is not a number: {text:?}"))
    }

    /// Runs `work` on a thread of its own inside the namespace.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("netns".to_owned())
                .spawn_scoped(scope, || {
                    self.enter()?;
                    work()
                })
                .context("cannot start a thread for the network namespace")?
                .join()
                .map_err(|_| anyhow!("the thread inside {} panicked", self.path))?
        })
    }

    /// Entering needs CAP_SYS_ADMIN; the own namespace needs nothing and is not entered.
    fn enter(&self) -> Result<()> {
        if Self::own()?.id == self.id {
            return Ok(());
        }
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network)).with_context(|| {
            format!(
                "cannot enter the network namespace {}: this needs CAP_SYS_ADMIN (run as root)",
                self.path
            )
        })
    }
}
