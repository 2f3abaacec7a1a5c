//! Who calls in the faults, and what stands between a client that speaks TLS and a server that does not.

use super::catalogue::Fault;
use crate::support::programs::{self, Program, role};
use crate::support::tools;
use std::net::SocketAddr;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The h2 crate, which hyper, tonic and reqwest use.
    H2,
    /// net/http, without TLS and with Go's own.
    Go,
    GoTls,
    /// node:http2, without TLS and with OpenSSL.
    Node,
    NodeTls,
    /// Frames by hand, for what no library does: without TLS, with OpenSSL (Python's ssl), with Go's crypto/tls.
    Careless,
    CarelessOpenSsl,
    CarelessGo,
}

/// Clients with a pool, or what is like one.
pub(crate) const POOLS: &[Client] = &[Client::H2, Client::Go, Client::Node, Client::NodeTls, Client::GoTls];
pub(crate) const BY_HAND: &[Client] = &[Client::Careless, Client::CarelessOpenSsl, Client::CarelessGo];

impl Client {
    /// How its bytes travel, and who it is.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Client::H2 => "h2c: Rust h2",
            Client::Go => "h2c: Go net/http",
            Client::GoTls => "Go TLS: net/http",
            Client::Node => "h2c: Node",
            Client::NodeTls => "OpenSSL: Node",
            Client::Careless => "h2c: by hand",
            Client::CarelessOpenSsl => "OpenSSL: by hand",
            Client::CarelessGo => "Go TLS: by hand",
        }
    }

    /// It waits for a line on its standard input before it connects: its process must be known by then, as that of a service
    /// is.
    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Client::GoTls | Client::NodeTls | Client::CarelessOpenSsl | Client::CarelessGo)
    }

    /// A peer that answers PINGs is judged after half a minute, unless it was silent before.
    pub(crate) fn is_quick_with(self, fault: &Fault) -> bool {
        fault.cause != "hung_server" || matches!(self, Client::Go | Client::GoTls)
    }

    /// A request each 100 ms, cancelled after a second: the pool of the bug.
    pub(crate) fn calls(self, address: SocketAddr, upload_bytes: u64, ping_ms: u64) -> Vec<String> {
        let words = |server: String| {
            [server, "100".into(), "1000".into(), "/bytes/10".into(), upload_bytes.to_string()]
        };
        let origin = format!("{}://{address}", if self.has_tls() { "https" } else { "http" });
        let ping_ms = [ping_ms.to_string()];
        match self {
            Client::H2 => role("caller", &[&words(address.to_string())[..], &ping_ms].concat()),
            // Sends a PING after each cancelled stream by itself.
            Client::Go | Client::GoTls => [&go("caller")[..], &words(origin)].concat(),
            Client::Node | Client::NodeTls => {
                let script = tools::client_source("caller.mjs").to_string_lossy().into_owned();
                [&programs::installed("node", &[&script])[..], &words(origin), &ping_ms].concat()
            }
            Client::Careless | Client::CarelessOpenSsl | Client::CarelessGo => {
                unreachable!("it has its own command line")
            }
        }
    }

    /// A stream each 100 ms, whatever comes. It reads until it is told a line.
    pub(crate) fn goes_on(self, address: SocketAddr) -> Vec<String> {
        let words = [address.to_string(), "100".to_owned()];
        match self {
            Client::CarelessOpenSsl => {
                let script = tools::client_source("careless.py").to_string_lossy().into_owned();
                [&[tools::python().to_string_lossy().into_owned(), script][..], &words].concat()
            }
            Client::CarelessGo => [&go("careless")[..], &words].concat(),
            _ => role("careless", &words),
        }
    }
}

/// The Go program in one of its roles.
fn go(what: &str) -> Vec<String> {
    vec![tools::go_client().to_string_lossy().into_owned(), what.to_owned()]
}

/// What stands between the client and the server: TLS, where the client speaks it.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) program: Option<Program>,
}

impl Front {
    /// In front of `upstream`; `enter` are the words that make it run elsewhere.
    pub(crate) fn of(client: Client, upstream: SocketAddr, enter: Vec<String>) -> Self {
        if !client.has_tls() {
            return Self { address: upstream, program: None };
        }
        Self::tls(upstream, enter)
    }

    /// TLS whoever the client is.
    pub(crate) fn tls(upstream: SocketAddr, enter: Vec<String>) -> Self {
        let listen = SocketAddr::new(upstream.ip(), 0);
        let words = [enter, go("front"), vec![listen.to_string(), upstream.to_string()]].concat();
        let mut program = Program::start(&words);
        Self { address: program.hear("SERVING ").parse().expect("an address"), program: Some(program) }
    }
}
