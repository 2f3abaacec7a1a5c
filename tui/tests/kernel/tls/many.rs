//! Many connections of one process: short ones whose TLS objects are at the addresses of earlier ones, and uploads that are
//! all on their way at the same time.

use super::clients::{Client, Said, script};
use super::compare::{Outcome, run};
use crate::support::watch::Ended;
use crate::support::{take_turns, tools};
use std::collections::BTreeMap;

/// With their full number of connections.
pub(super) const ALL: [(Client, usize); 4] =
    [(SHORT, 200), (UPLOAD_HTTPX, 100), (UPLOAD_NODE, 100), (UPLOAD_GO, 100)];

pub(super) const SHORT: Client =
    with("httpx, asyncio, short connections", "openssl", |peer, connections, _| {
        script(&tools::python(), "exact/many.py", &["short", &peer.origin(), &connections.to_string()])
    });
const UPLOAD_HTTPX: Client = with("httpx, asyncio, 1 MB uploads", "openssl", |peer, connections, _| {
    script(&tools::python(), "exact/many.py", &["upload", &peer.origin(), &connections.to_string()])
});
const UPLOAD_NODE: Client = with("Node http2, 1 MB uploads", "openssl", |peer, connections, _| {
    script(&tools::program("node"), "exact/upload.mjs", &[&peer.origin(), &connections.to_string()])
});
const UPLOAD_GO: Client = with("Go 1.27.3, 1 MB uploads", "go", |peer, connections, _| {
    let program = tools::go_build("exact", &format!("go-{}-plain", tools::GO), &[]);
    vec![program.to_string_lossy().into_owned(), peer.origin(), connections.to_string(), "upload".to_owned()]
});

const fn with(
    name: &'static str,
    library: &'static str,
    command: fn(&super::peer::Peer, usize, usize) -> Vec<String>,
) -> Client {
    Client { name, library, command, said }
}

fn said(ended: &Ended) -> BTreeMap<String, Said> {
    serde_json::from_value(ended.client()).expect("the client says what it did on each port")
}

/// OpenSSL's objects were at fewer addresses than there were connections.
pub(super) fn assert_objects_were_reused(ended: &Ended, connections: usize) {
    let addresses = ended.errors.lines().find_map(|line| line.strip_prefix("ADDRESSES "));
    let addresses: usize = addresses.expect("the client says it").parse().expect("a number");
    println!("{addresses} addresses");
    assert!(addresses < connections, "no object was at the address of an earlier one");
}

#[test]
fn short_connections_with_reused_objects_are_bound_right() {
    let _turn = take_turns();
    let run = run(&SHORT, &[], "frames", 200, 0);
    assert_objects_were_reused(&run.ended, 200);
    judge(&run.outcome, 200);
    run.assert_an_exchange_would_show(&SHORT, "frames");
}

#[test]
fn uploads_of_many_connections_are_bound_right() {
    let _turn = take_turns();
    judge(&run(&UPLOAD_HTTPX, &[], "frames", 20, 0).outcome, 20);
    // Its threads send what is queued on each other's connections.
    judge(&run(&UPLOAD_GO, &[], "frames", 100, 0).outcome, 100);
}

fn judge(outcome: &Outcome, connections: usize) {
    assert_eq!(outcome.connections, connections);
    assert!(outcome.is_exact(), "{outcome:#?}");
}
