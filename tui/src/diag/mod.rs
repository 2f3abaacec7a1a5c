//! What the kernel's sock_diag knows of TCP sockets: TCP facts, connections that were already open, SOCK_DESTROY.
//!
//! Everything happens in the network namespace of the watched process and is matched by socket cookie, never by address
//! alone. It judges nothing. The questions are synchronous: the kernel answers inside the send call.

mod clients;
mod interfaces;
mod namespaces;
mod netns;
mod process;
mod socket;
mod tcp_info;
mod wire;

#[cfg(test)]
mod tests;

pub use clients::{OpenClient, open_clients};
pub use namespaces::Namespaces;
pub use netns::{Netns, NetnsId};
pub use process::sockets_of;
pub use socket::{Family, Socket, state};

use crate::model::sample::{Cookie, TcpFacts};
use anyhow::{Context, Result, anyhow, bail};
use interfaces::Interfaces;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, sockopt};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use wire::{Message, Query};

/// The kernel makes dump datagrams of at most 32 KiB when it is offered this much.
const RECEIVE_BYTES: usize = 64 * 1024;
/// The answer is queued before the send returns; this only guards against a lost one (receive buffer overrun).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections in any state of one, which is none of a listener, a request at it, or what a closed one leaves behind.
const CONNECTED: u32 =
    !(1 << state::TIME_WAIT | 1 << state::SYN_RECV | 1 << state::NEW_SYN_RECV | 1 << state::LISTEN);

/// Result of [`Diag::destroy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The socket was aborted: the process sees ECONNABORTED, the peer a RST if it can be reached.
    Destroyed,
    /// There is no such connection any more.
    Gone,
    /// That address pair belongs to another socket now, which was left alone.
    Reused { found: Cookie },
}

/// A sock_diag socket in one network namespace.
#[derive(Debug)]
pub struct Diag {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
    interfaces: Interfaces,
}

impl Netns {
    /// Opens sock_diag inside the namespace.
    pub fn open(&self) -> Result<Diag> {
        let socket = self.netlink()?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_TIMEOUT))
            .context("cannot set a timeout on the NETLINK_SOCK_DIAG socket")?;
        Ok(Diag { socket, sequence: 0, buffer: vec![0; RECEIVE_BYTES], interfaces: Interfaces::default() })
    }

    /// Whether SOCK_DESTROY works here, tried on a listening socket made for it. To be asked at start, not at the first
    /// reset: the right (CAP_NET_ADMIN) and the kernel option are checked by the kernel only when a socket was found.
    pub fn check_destroy(&self) -> Result<()> {
        let listener = self
            .within(|| {
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot bind a socket to 127.0.0.1")
            })
            .context("cannot try SOCK_DESTROY: the namespace has no loopback address")?;
        let cookie = sockopt::socket_cookie(&listener).context("cannot read SO_COOKIE")?;
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        match self.open()?.destroy(cookie, listener.local_addr()?, nowhere)? {
            Outcome::Destroyed => Ok(()),
            other => bail!("SOCK_DESTROY did not find a socket made for the trial ({other:?})"),
        }
    }
}

impl Diag {
    /// Every TCP socket of the families, without `struct tcp_info`. TIME_WAIT and half-open ones are left out.
    pub fn dump(&mut self, families: &[Family]) -> Result<Vec<Socket>> {
        self.list(families, CONNECTED | 1 << state::LISTEN, (0, 0), false)
    }

    fn list(
        &mut self,
        families: &[Family],
        states: u32,
        ports: (u16, u16),
        with_info: bool,
    ) -> Result<Vec<Socket>> {
        let mut sockets = Vec::new();
        for &family in families {
            let query = Query::All { family, states, ports, with_info };
            match self.ask(wire::SOCK_DIAG_BY_FAMILY, wire::NLM_F_DUMP, &query, &mut sockets)? {
                // No IPv6 in this kernel: no such sockets.
                0 | ENOENT | EAFNOSUPPORT => {}
                errno => return Err(kernel_error(errno).context("cannot list TCP sockets by sock_diag")),
            }
        }
        Ok(sockets)
    }

    /// TCP facts of one connection; `None` when it no longer exists or another socket has its addresses.
    pub fn facts(
        &mut self,
        cookie: Cookie,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<Option<TcpFacts>> {
        let now = Instant::now();
        let interface = self.interfaces.of(cookie, now);
        let mut found = self.find(cookie, local, remote, interface)?;
        if found.is_none() && self.interfaces.may_search(cookie, now) {
            found = self.search(cookie, local, remote)?;
        }
        Ok(found.and_then(|socket| socket.facts()))
    }

    /// What the kernel says of the same socket now.
    pub fn again(&mut self, socket: &Socket) -> Result<Option<Socket>> {
        self.find(socket.cookie, socket.local, socket.remote, socket.interface)
    }

    /// Aborts one connection. A wrong cookie is refused by the kernel and reported as [`Outcome::Reused`].
    pub fn destroy(&mut self, cookie: Cookie, local: SocketAddr, remote: SocketAddr) -> Result<Outcome> {
        if cookie == 0 || cookie == wire::NO_COOKIE {
            bail!("refusing to reset {local} -> {remote} without a socket cookie");
        }
        let interface = self.interfaces.of(cookie, Instant::now());
        let mut errno = self.ask_to_destroy(cookie, local, remote, interface)?;
        if matches!(errno, ENOENT | ESTALE) {
            let bound = self.search(cookie, local, remote)?.map(|socket| socket.interface);
            if let Some(bound) = bound.filter(|&bound| bound != interface) {
                errno = self.ask_to_destroy(cookie, local, remote, bound)?;
            }
        }
        match errno {
            0 => Ok(Outcome::Destroyed),
            ENOENT | ESTALE => Ok(match self.find(wire::NO_COOKIE, local, remote, 0)? {
                Some(other) if other.remote.port() == remote.port() && other.cookie != cookie => {
                    Outcome::Reused { found: other.cookie }
                }
                _ => Outcome::Gone,
            }),
            EPERM | EACCES => Err(anyhow!(
                "no right to reset {local} -> {remote}: SOCK_DESTROY needs CAP_NET_ADMIN (run as root, or \
                 `setcap cap_net_admin+ep`)"
            )),
            EOPNOTSUPP => Err(anyhow!(
                "this kernel cannot reset {local} -> {remote}: it was built without CONFIG_INET_DIAG_DESTROY"
            )),
            errno => Err(kernel_error(errno).context(format!("SOCK_DESTROY of {local} -> {remote} failed"))),
        }
    }

    fn ask_to_destroy(
        &mut self,
        cookie: Cookie,
        local: SocketAddr,
        remote: SocketAddr,
        interface: u32,
    ) -> Result<i32> {
        let query = Query::One { cookie, local, remote, interface, with_info: false };
        self.ask(wire::SOCK_DESTROY, wire::NLM_F_ACK, &query, &mut Vec::new())
    }

    /// Looks for a socket among all with its ports, whatever it is bound to, and keeps what that is.
    fn search(&mut self, cookie: Cookie, local: SocketAddr, remote: SocketAddr) -> Result<Option<Socket>> {
        let began = Instant::now();
        let ports = (local.port(), remote.port());
        let sockets = self.list(&Family::BOTH, CONNECTED, ports, true)?;
        let found = sockets.into_iter().find(|socket| socket.cookie == cookie);
        let interface = found.as_ref().map_or(0, |socket| socket.interface);
        self.interfaces.note(cookie, interface, began, Instant::now());
        Ok(found)
    }

    fn find(
        &mut self,
        cookie: Cookie,
        local: SocketAddr,
        remote: SocketAddr,
        interface: u32,
    ) -> Result<Option<Socket>> {
        let query = Query::One { cookie, local, remote, interface, with_info: true };
        let mut sockets = Vec::new();
        match self.ask(wire::SOCK_DIAG_BY_FAMILY, 0, &query, &mut sockets)? {
            0 => Ok(sockets.pop()),
            ENOENT | ESTALE => Ok(None),
            errno => Err(kernel_error(errno).context(format!("sock_diag of {local} -> {remote} failed"))),
        }
    }

    /// Sends one request and reads its whole answer; returns the kernel's errno, 0 for success.
    fn ask(&mut self, kind: u16, flags: u16, query: &Query, sockets: &mut Vec<Socket>) -> Result<i32> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = wire::request(kind, flags, self.sequence, query);
        retry(|| rustix::net::send(&self.socket, &request, SendFlags::empty()))
            .context("cannot send to NETLINK_SOCK_DIAG")?;
        let whole_dump = flags & wire::NLM_F_DUMP != 0;
        loop {
            let buffer = &mut self.buffer[..];
            let (_, length) = retry(|| rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::TRUNC))
                .context("no answer from NETLINK_SOCK_DIAG")?;
            let datagram =
                self.buffer.get(..length).context("a sock_diag answer was longer than the buffer")?;
            for message in wire::messages(datagram, self.sequence) {
                match message {
                    Message::Socket(socket) => {
                        sockets.push(*socket);
                        if !whole_dump {
                            return Ok(0);
                        }
                    }
                    Message::Done => return Ok(0),
                    Message::Error(errno) => return Ok(errno),
                    Message::Unreadable => {
                        bail!("cannot read an answer of NETLINK_SOCK_DIAG ({length} bytes)")
                    }
                }
            }
        }
    }
}

const EPERM: i32 = Errno::PERM.raw_os_error();
const EACCES: i32 = Errno::ACCESS.raw_os_error();
const ENOENT: i32 = Errno::NOENT.raw_os_error();
const ESTALE: i32 = Errno::STALE.raw_os_error();
const EOPNOTSUPP: i32 = Errno::OPNOTSUPP.raw_os_error();
const EAFNOSUPPORT: i32 = Errno::AFNOSUPPORT.raw_os_error();

fn kernel_error(errno: i32) -> anyhow::Error {
    std::io::Error::from_raw_os_error(errno).into()
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
