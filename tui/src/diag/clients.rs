//! Client connections that were open before h2watch was: sock_diag joined with the file descriptors of the processes.
//!
//! A listening socket is no connection, and an accepted one is the server's end: its local address is one that a socket
//! of the same namespace listens on. An accepted connection whose listener was closed since cannot be told from a client.

use super::{Family, Namespaces, Socket, sockets_of, state};
use anyhow::Result;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// A connection that was already open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenClient {
    pub socket: Socket,
    /// Every given process that holds it, ascending; a forked worker shares the socket of its parent.
    pub pids: Vec<u32>,
}

/// Client connections of the processes, each once. A process that cannot be read is an error beside the others' results.
pub fn open_clients(namespaces: &mut Namespaces, pids: &[u32]) -> (Vec<OpenClient>, Vec<anyhow::Error>) {
    let mut errors = Vec::new();
    let mut by_namespace = BTreeMap::<_, Vec<u32>>::new();
    for &pid in pids {
        match namespaces.id_of(pid) {
            Ok(id) => by_namespace.entry(id).or_default().push(pid),
            Err(error) => errors.push(error),
        }
    }
    let mut found = Vec::new();
    for members in by_namespace.values() {
        match in_namespace(namespaces, members, &mut errors) {
            Ok(clients) => found.extend(clients),
            Err(error) => errors.push(error),
        }
    }
    (found, errors)
}

fn in_namespace(
    namespaces: &mut Namespaces,
    pids: &[u32],
    errors: &mut Vec<anyhow::Error>,
) -> Result<Vec<OpenClient>> {
    let mut holders = HashMap::<u64, Vec<u32>>::new();
    for &pid in pids {
        match sockets_of(pid) {
            Ok(inodes) => inodes.into_iter().for_each(|inode| holders.entry(inode).or_default().push(pid)),
            Err(error) => errors.push(error),
        }
    }
    let Some(&first) = pids.first() else { return Ok(Vec::new()) };
    let sockets = namespaces.of_pid(first)?.dump(&Family::BOTH)?;
    Ok(join(sockets, &holders))
}

fn join(sockets: Vec<Socket>, holders: &HashMap<u64, Vec<u32>>) -> Vec<OpenClient> {
    let listening: HashSet<(Option<IpAddr>, u16)> =
        sockets.iter().filter(|s| s.state == state::LISTEN).map(|s| listener(s.local)).collect();
    let accepted = |local: SocketAddr| {
        listening.contains(&(None, local.port())) || listening.contains(&(Some(local.ip()), local.port()))
    };
    let mut clients: Vec<OpenClient> = sockets
        .into_iter()
        .filter(|s| connected(s.state) && !accepted(s.local))
        .filter_map(|socket| {
            let mut pids = holders.get(&socket.inode)?.clone();
            pids.sort_unstable();
            pids.dedup();
            Some(OpenClient { socket, pids })
        })
        .collect();
    clients.sort_by_key(|client| client.socket.cookie);
    clients
}

/// `None` instead of an address: listens on all of them. That is taken for both families, since `[::]` accepts IPv4 too.
fn listener(local: SocketAddr) -> (Option<IpAddr>, u16) {
    let ip = local.ip();
    ((!ip.is_unspecified()).then_some(ip), local.port())
}

fn connected(state: u8) -> bool {
    matches!(
        state,
        state::ESTABLISHED | state::SYN_SENT | state::FIN_WAIT1 | state::FIN_WAIT2 | state::CLOSE_WAIT
    )
}
