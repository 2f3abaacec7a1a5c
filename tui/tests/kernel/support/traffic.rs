//! Commands of clients whose traffic is healthy.

use super::netns::Namespace;
use super::programs::{installed, role};
use super::{servers, tools};
use std::net::{SocketAddr, TcpListener};

/// `workers` that request `path` over one connection, with a pause after each answer.
pub(crate) fn patient(address: SocketAddr, workers: u32, pause_ms: u32, path: &str) -> Vec<String> {
    role("patient", &[address.to_string(), workers.to_string(), pause_ms.to_string(), path.to_owned()])
}

/// A client with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// OpenSSL, seen frame by frame.
    Node,
    /// Stripped: seen as records.
    Rustls,
}

impl Tls {
    /// As `patient`, over TLS.
    pub(crate) fn patient(self, address: SocketAddr, workers: u32, pause_ms: u32, path: &str) -> Vec<String> {
        let rest = [workers.to_string(), pause_ms.to_string(), path.to_owned()];
        let first = match self {
            Tls::Node => {
                let script = tools::client_source("patient.mjs").to_string_lossy().into_owned();
                installed("node", &[&script, &format!("https://{address}")])
            }
            Tls::Rustls => {
                let program = tools::rustls_client().to_string_lossy().into_owned();
                vec![program, "patient".to_owned(), address.to_string()]
            }
        };
        [&first[..], &rest].concat()
    }
}

/// Four workers with ten requests a second each.
pub(crate) fn busy(address: SocketAddr) -> Vec<String> {
    patient(address, 4, 100, "/bytes/1000")
}

/// The same, with a namespace for each side.
pub(crate) fn busy_between(client: &Namespace, server: &Namespace) -> Vec<String> {
    let address = server.v4;
    let listener = server.inside(move || TcpListener::bind((address, 0)).expect("a free port"));
    [client.enter(), busy(servers::start_on(listener))].concat()
}
