//! One TCP socket as sock_diag describes it.

use super::tcp_info;
use crate::model::sample::{Cookie, TcpFacts};
use std::net::SocketAddr;

/// Address family of the socket itself: an `Inet6` socket may carry IPv4 (v4-mapped).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Inet,
    Inet6,
}

impl Family {
    pub const BOTH: [Family; 2] = [Family::Inet, Family::Inet6];
}

/// TCP states by number (include/net/tcp_states.h).
pub mod state {
    pub const ESTABLISHED: u8 = 1;
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECV: u8 = 3;
    pub const FIN_WAIT1: u8 = 4;
    pub const FIN_WAIT2: u8 = 5;
    pub const TIME_WAIT: u8 = 6;
    pub const CLOSE: u8 = 7;
    pub const CLOSE_WAIT: u8 = 8;
    pub const LAST_ACK: u8 = 9;
    pub const LISTEN: u8 = 10;
    pub const CLOSING: u8 = 11;
    /// A request at a listener, no connection yet.
    pub const NEW_SYN_RECV: u8 = 12;
}

/// A TCP socket. Addresses are canonical: never v4-mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub cookie: Cookie,
    /// 0: the process has closed it already.
    pub inode: u64,
    pub family: Family,
    /// See [`state`].
    pub state: u8,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Number of the device that it is bound to; 0 for most.
    pub interface: u32,
    pub uid: u32,
    /// Bytes that the process has not read; of a listening socket, connections not accepted.
    pub receive_queue: u32,
    /// Bytes not acknowledged or not sent.
    pub send_queue: u32,
    /// 0 none, 1 retransmit, 2 keepalive, 3 time-wait, 4 zero-window probe.
    pub timer: u8,
    pub timer_expires_ms: u32,
    /// How often that timer has fired in vain (retransmissions, or probes).
    pub retransmits: u8,
    /// Inode number of the cgroup v2 directory; kernels before 5.9 do not tell.
    pub cgroup_id: Option<u64>,
    /// `struct tcp_info`, as long as this kernel makes it.
    pub info: Option<Vec<u8>>,
}

impl Socket {
    /// What verdicts need, where `struct tcp_info` was asked for.
    #[must_use]
    pub fn facts(&self) -> Option<TcpFacts> {
        let info = self.info.as_deref()?;
        Some(TcpFacts {
            receive_queue: self.receive_queue,
            send_queue: self.send_queue,
            timer: self.timer,
            timer_expires_ms: self.timer_expires_ms,
            ..tcp_info::facts(info)
        })
    }
}
