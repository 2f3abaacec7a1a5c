//! A link between client and server that can be unplugged: it stops copying, silently, with both sockets open. It also
//! records what it copied. It knows nothing of HTTP/2.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What passed one way.
pub(crate) type Bytes = Vec<u8>;

/// Both directions of one connection, as far as they were copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    pub(crate) sent: Bytes,
    pub(crate) received: Bytes,
}

#[derive(Debug, Default)]
struct State {
    unplugged: Mutex<bool>,
    changed: Condvar,
    /// By the client's address.
    recordings: Mutex<BTreeMap<SocketAddr, Arc<Mutex<Recording>>>>,
}

/// The link; it lives until the process ends.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    ToServer,
    ToClient,
}

impl Link {
    /// Accepts on a free port of the loopback address that `upstream` is on.
    pub(crate) fn to(upstream: SocketAddr) -> Self {
        let loopback = if upstream.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
        Self::between(TcpListener::bind(loopback).expect("a free port"), upstream)
    }

    pub(crate) fn between(listener: TcpListener, upstream: SocketAddr) -> Self {
        let link = Self { address: listener.local_addr().expect("a bound socket"), state: Arc::default() };
        let state = Arc::clone(&link.state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(upstream) else { continue };
                copy_both(&state, client, server);
            }
        });
        link
    }

    /// From now on nothing is copied, and nobody is told.
    pub(crate) fn unplug(&self) {
        *self.state.unplugged.lock().unwrap() = true;
    }

    /// Copies again, what was held back first.
    pub(crate) fn plug_in(&self) {
        *self.state.unplugged.lock().unwrap() = false;
        self.state.changed.notify_all();
    }

    /// What was copied so far, by the client's address.
    pub(crate) fn recordings(&self) -> BTreeMap<SocketAddr, Recording> {
        let all = self.state.recordings.lock().unwrap();
        all.iter().map(|(client, recording)| (*client, recording.lock().unwrap().clone())).collect()
    }
}

fn copy_both(state: &Arc<State>, client: TcpStream, server: TcpStream) {
    let address = client.peer_addr().expect("a connected socket");
    let recording = Arc::<Mutex<Recording>>::default();
    state.recordings.lock().unwrap().insert(address, Arc::clone(&recording));
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a TCP socket");
    }
    let back = (client.try_clone().expect("a descriptor"), server.try_clone().expect("a descriptor"));
    let (there_state, there_recording) = (Arc::clone(state), Arc::clone(&recording));
    thread::spawn(move || copy(&there_state, &there_recording, client, server, Way::ToServer));
    let state = Arc::clone(state);
    thread::spawn(move || copy(&state, &recording, back.1, back.0, Way::ToClient));
}

fn copy(state: &State, recording: &Mutex<Recording>, mut from: TcpStream, mut to: TcpStream, way: Way) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        state.wait_until_plugged_in();
        let n = from.read(&mut buffer).unwrap_or(0);
        state.wait_until_plugged_in();
        // What comes after the client has closed its socket reaches nobody.
        if n == 0 || (way == Way::ToClient && has_closed(&to)) {
            break;
        }
        // Noted before it is written: what the far side answers to it is noted later.
        let place = |r: &mut Recording| match way {
            Way::ToServer => r.sent.extend_from_slice(&buffer[..n]),
            Way::ToClient => r.received.extend_from_slice(&buffer[..n]),
        };
        place(&mut recording.lock().unwrap());
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    if way == Way::ToServer {
        // A client that has closed its socket does not see what the server still says: nothing more is copied to it.
        let _ = to.shutdown(Shutdown::Both);
    } else {
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// True when the peer has sent FIN or RST: the socket is no longer ESTABLISHED (1 in Linux's `tcp_states.h`).
fn has_closed(socket: &TcpStream) -> bool {
    let mut state = 0u8;
    let mut length: libc::socklen_t = 1;
    // SAFETY: the kernel writes at most `length` bytes, the first field of `struct tcp_info`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut state).cast(),
            &raw mut length,
        )
    };
    result != 0 || state != 1
}

impl State {
    fn wait_until_plugged_in(&self) {
        let unplugged = self.unplugged.lock().unwrap();
        drop(self.changed.wait_while(unplugged, |unplugged| *unplugged).unwrap());
    }
}
