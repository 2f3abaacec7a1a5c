//! TLS clients: what can be probed is counted exactly and on the right socket, what cannot be is seen as records, and what is
//! not HTTP/2 is not listed.

mod clients;
mod compare;
mod early;
mod exact;
mod many;
mod marks;
mod other;
pub(crate) mod peer;
mod privacy;
mod records;
mod report;
