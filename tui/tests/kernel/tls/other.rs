//! What is encrypted and not HTTP/2 is not listed: HTTP/1.1, TLS without ALPN, and a client that offers h2 and does not get
//! it, and lines of text.

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
    let is_other =
        |sent: &[u8]| [&b"GET /"[..], b"POST /", b"\r\n"].iter().any(|begin| sent.starts_with(begin));
    assert!(!said.is_empty() && said.iter().all(|one| is_other(&one.sent)));
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

/// Nothing in them can be probed: the records alone say it.
#[test]
fn java_and_rustls_that_fall_back() {
    let _turn = take_turns();
    for options in [&["1.1"][..], &["1.1", "tls12"]] {
        let peer = Peer::start(options);
        let words = ["fallback", &peer.address.to_string(), "50"];
        let rustls = tools::rustls_client().to_string_lossy().into_owned();
        let rustls = std::iter::once(rustls).chain(words.map(str::to_owned)).collect::<Vec<_>>();
        assert_not_listed_at(&["frames"], &peer, &rustls);
        assert_not_listed_at(
            &["frames"],
            &peer,
            &script(&tools::program("java"), "java/Client.java", &words),
        );
    }
}

#[test]
fn lines_over_tls_without_alpn() {
    let _turn = take_turns();
    let peer = Peer::start(&["lines"]);
    let (host, port) = (peer.address.ip().to_string(), peer.address.port().to_string());
    for mode in ["first", "last"] {
        let words = [mode, &host, &port, "200"];
        assert_not_listed(&peer, &script(&tools::python(), "exact/lines.py", &words));
    }
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
