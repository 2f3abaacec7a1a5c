//! What is encrypted and not HTTP/2 is not listed: HTTP/1.1, TLS without ALPN, and a client that offers h2 and does not get it.

use super::clients::script;
use super::peer::Peer;
use crate::support::programs::installed;
use crate::support::watch::Watch;
use crate::support::{take_turns, tools};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn assert_not_listed(peer: &Peer, words: &[String]) {
    assert_not_listed_at(&["frames", "records"], peer, words);
}

fn assert_not_listed_at(depths: &[&str], peer: &Peer, words: &[String]) {
    for depth in depths {
        let ended = Watch::run(&["--tls", depth], words).end(LONG);
        assert!(ended.status.success(), "{}", ended.errors);
        assert_eq!(ended.connections().len(), 0, "{depth} {words:?}: {:?}", ended.connections());
        assert!(ended.of("open").is_empty(), "{depth} {words:?}: {:?}", ended.of("open"));
    }
    // What was watched did happen, over TLS, and was not HTTP/2.
    let said = peer.plaintext();
    let is_http1 = |sent: &[u8]| sent.starts_with(b"GET /") || sent.starts_with(b"POST /");
    assert!(!said.is_empty() && said.iter().all(|one| is_http1(&one.sent)));
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

fn chunks(peer: &Peer, mode: &str) -> Vec<String> {
    let (host, port) = (peer.address.ip().to_string(), peer.address.port().to_string());
    script(&tools::python(), "exact/chunks.py", &[mode, &host, &port])
}

/// A request as long as a preface with SETTINGS, and an answer in pieces as long as an acknowledgement.
#[test]
fn requests_and_chunks_as_long_as_the_first_frames() {
    let _turn = take_turns();
    let peer = Peer::start(&["1.1"]);
    assert_not_listed(&peer, &chunks(&peer, "fit"));
}

/// Lengths alone would be evidence for it: what the client wrote speaks against it.
#[test]
fn plaintext_that_is_not_http2_outweighs_lengths() {
    let _turn = take_turns();
    let peer = Peer::start(&["1.1"]);
    assert_not_listed_at(&["streams", "frames"], &peer, &chunks(&peer, "mimic"));
}
