//! Commands of clients whose traffic is healthy.

use super::netns::Namespace;
use super::programs::role;
use super::servers;
use std::net::{SocketAddr, TcpListener};

/// `workers` that request `path` over one connection, with a pause after each answer.
pub(crate) fn patient(address: SocketAddr, workers: u32, pause_ms: u32, path: &str) -> Vec<String> {
    role("patient", &[address.to_string(), workers.to_string(), pause_ms.to_string(), path.to_owned()])
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
