//! Label values: who talks to whom, in words of bounded length. Escaping is the encoder's, limits are `limit`'s.

use super::group::{GroupKey, Workload};
use super::limit::OTHER;
use crate::model::sample::Reading;

/// A DNS name has at most 253 characters; a hostile process can send anything as server name.
const MAX_VALUE_CHARS: usize = 128;

/// Container ids are shown like `docker ps` shows them.
const CONTAINER_CHARS: usize = 12;

/// Labels of a connection, before any limit. The destination is the TLS server name where it was seen, else the address;
/// never a port: a client that dials many ports of one host would make a series of each.
pub(super) fn key(reading: &Reading) -> GroupKey {
    let owner = &reading.owner;
    let container = owner.container.as_deref().unwrap_or_default();
    GroupKey {
        workload: Workload {
            comm: bounded(&owner.comm, MAX_VALUE_CHARS),
            container: bounded(container, CONTAINER_CHARS),
        },
        destination: destination(reading),
    }
}

/// Name or address of the peer.
pub(super) fn destination(reading: &Reading) -> String {
    match server_name(reading) {
        Some(name) => bounded(name, MAX_VALUE_CHARS),
        None => reading.remote.ip().to_canonical().to_string(),
    }
}

pub(super) fn server_name(reading: &Reading) -> Option<&str> {
    reading.tls.as_ref()?.server_name.as_deref().filter(|name| !name.is_empty())
}

/// At most `max` characters, and never the word that is reserved for the overflow.
pub(super) fn bounded(value: &str, max: usize) -> String {
    let cut: String = value.chars().take(max).collect();
    if cut == OTHER { format!("'{cut}'") } else { cut }
}
