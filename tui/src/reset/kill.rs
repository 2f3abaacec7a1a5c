//! SOCK_DESTROY of a connection, in the network namespace of its process. It decides nothing.

use crate::diag::{Namespaces, Netns, Outcome};
use crate::model::snapshot::Connection;
use anyhow::{Context, Result};

/// Aborts the connection, matched by its cookie.
pub fn destroy(namespaces: &mut Namespaces, connection: &Connection) -> Result<Outcome> {
    let reading = &connection.reading;
    namespaces.destroy(reading.owner.pid, reading.id, reading.local, reading.remote)
}

/// Whether connections of these processes can be reset at all, tried once per network namespace on a socket of our own; where
/// none of them exists yet, in our own namespace. To be asked at start: a tool that finds out at its first incident that it has
/// no right is no help.
pub fn check(namespaces: &mut Namespaces, pids: &[u32]) -> Result<()> {
    if pids.is_empty() {
        return Netns::own()?.check_destroy().context("connections cannot be reset");
    }
    let mut seen = Vec::new();
    for &pid in pids {
        let id = namespaces.id_of(pid)?;
        if !seen.contains(&id) {
            namespaces.check_destroy(pid)?;
            seen.push(id);
        }
    }
    Ok(())
}
