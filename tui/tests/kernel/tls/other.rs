//! What is encrypted and not HTTP/2 is not listed: HTTP/1.1, TLS without ALPN, and a client that offers h2 and does not get it.

use super::clients::script;
use super::peer::Peer;
use crate::support::programs::installed;
use crate::support::watch::Watch;
use crate::support::{take_turns, tools};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn assert_not_listed(peer: &Peer, words: &[String]) {
    for depth in ["frames", "records"] {
        let ended = Watch::run(&["--tls", depth], words).end(LONG);
        assert!(ended.status.success(), "{}", ended.errors);
        assert_eq!(ended.connections().len(), 0, "{depth} {words:?}: {:?}", ended.connections());
        assert!(ended.of("open").is_empty(), "{depth} {words:?}: {:?}", ended.of("open"));
    }
    // What was watched did happen, over TLS, and was not HTTP/2.
    let said = peer.plaintext();
    assert!(!said.is_empty() && said.iter().all(|one| one.sent.starts_with(b"GET /bytes/")));
}

fn curl(peer: &Peer, options: &[&str]) -> Vec<String> {
    let urls = format!("{}/bytes/[1-50]", peer.origin());
    installed("curl", &[options, &["-sk", "--output", "/dev/null", &urls]].concat())
}

#[test]
fn a_client_that_offers_h2_and_gets_http_1_1() {
    let _turn = take_turns();
    for options in [&["1.1"][..], &["1.1", "tls12"], &["no-alpn"]] {
        let peer = Peer::start(options);
        assert_not_listed(&peer, &curl(&peer, &["--http2"]));
    }
}

#[test]
fn a_client_that_offers_only_http_1_1() {
    let _turn = take_turns();
    let peer = Peer::start(&[]);
    assert_not_listed(&peer, &curl(&peer, &["--http1.1"]));
}

#[test]
fn tls_without_alpn() {
    let _turn = take_turns();
    for options in [&[][..], &["tls12"]] {
        let peer = Peer::start(options);
        assert_not_listed(&peer, &curl(&peer, &["--no-alpn", "--http1.1"]));
    }
}

/// Through memory BIOs: h2 is offered beside HTTP/1.1, and the server has only that.
#[test]
fn httpx_that_falls_back() {
    let _turn = take_turns();
    let peer = Peer::start(&["1.1"]);
    assert_not_listed(&peer, &script(&tools::python(), "exact/fallback.py", &[&peer.origin(), "50"]));
}
