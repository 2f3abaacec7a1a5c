//! One sock_diag socket per network namespace, opened when the first process of it is asked about.

use super::{Diag, Netns, NetnsId, Outcome};
use crate::model::sample::{Cookie, TcpFacts};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A setting of the namespace is believed for this long.
const RETRIES2_FOR: Duration = Duration::from_secs(10);

/// The open namespaces. Each one stays alive in the kernel while it is held here: see [`Namespaces::retain`].
#[derive(Debug, Default)]
pub struct Namespaces {
    open: BTreeMap<NetnsId, Open>,
}

/// One of them.
#[derive(Debug)]
struct Open {
    netns: Netns,
    diag: Diag,
    /// What was read last, and when: reading it takes a thread inside the namespace.
    tcp_retries2: Option<(Instant, Option<u32>)>,
}

impl Open {
    fn tcp_retries2(&mut self) -> Option<u32> {
        let known = self.tcp_retries2.filter(|(at, _)| at.elapsed() < RETRIES2_FOR);
        let (at, value) = known.unwrap_or_else(|| (Instant::now(), self.netns.tcp_retries2().ok()));
        self.tcp_retries2 = Some((at, value));
        value
    }
}

impl Namespaces {
    /// Identity of the namespace of a process.
    pub fn id_of(&self, pid: u32) -> Result<NetnsId> {
        Ok(Netns::of_pid(pid)?.id())
    }

    /// sock_diag in the namespace of a process.
    pub fn of_pid(&mut self, pid: u32) -> Result<&mut Diag> {
        self.entry(pid).map(|open| &mut open.diag)
    }

    /// TCP facts of a connection of the process; `None` when the connection is gone.
    pub fn facts(
        &mut self,
        pid: u32,
        cookie: Cookie,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<Option<TcpFacts>> {
        let open = self.entry(pid)?;
        let facts = open.diag.facts(cookie, local, remote)?;
        Ok(facts.map(|facts| TcpFacts { tcp_retries2: open.tcp_retries2(), ..facts }))
    }

    /// Aborts a connection of the process.
    pub fn destroy(
        &mut self,
        pid: u32,
        cookie: Cookie,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<Outcome> {
        self.of_pid(pid)?.destroy(cookie, local, remote)
    }

    /// `net.ipv4.tcp_retries2` in the namespace of the process, read now.
    pub fn tcp_retries2(&mut self, pid: u32) -> Result<u32> {
        self.entry(pid)?.netns.tcp_retries2()
    }

    /// Whether connections of the process can be reset at all; an error says why not.
    pub fn check_destroy(&mut self, pid: u32) -> Result<()> {
        self.entry(pid)?
            .netns
            .check_destroy()
            .with_context(|| format!("connections of process {pid} cannot be reset"))
    }

    /// Lets go of every namespace that none of these processes is in.
    pub fn retain(&mut self, pids: impl IntoIterator<Item = u32>) {
        let used: BTreeSet<NetnsId> = pids.into_iter().filter_map(|pid| self.id_of(pid).ok()).collect();
        self.open.retain(|id, _| used.contains(id));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn entry(&mut self, pid: u32) -> Result<&mut Open> {
        let netns = Netns::of_pid(pid)?;
        match self.open.entry(netns.id()) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let diag = netns.open()?;
                Ok(entry.insert(Open { netns, diag, tcp_retries2: None }))
            }
        }
    }
}
