//! Clients that cannot be probed, and depths below `frames`: a stopped server is flagged, a healthy one is not, and no stream
//! is counted that was not seen.

use super::clients::script;
use super::peer::Peer;
use crate::support::watch::{Watch, signal_process};
use crate::support::{take_turns, tools, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
/// How long a healthy connection is looked at: four times `--stall-after`.
const HEALTHY: Duration = Duration::from_secs(4);
const NULL_WITHOUT_FRAMES: [&str; 7] = [
    "streams_opened",
    "streams_in_flight",
    "streams_unanswered",
    "streams_reset_sent",
    "streams_abandoned",
    "frames_sent",
    "frames_received",
];

/// A request each 50 ms, given up after one second.
const CALLS: [&str; 2] = ["50", "1000"];

fn rustls(peer: &Peer) -> Vec<String> {
    let program = tools::rustls_client().to_string_lossy().into_owned();
    let words = [&*program, "calls", &peer.address.to_string(), CALLS[0], CALLS[1]];
    words.map(str::to_owned).to_vec()
}

fn java(peer: &Peer) -> Vec<String> {
    let words = ["calls", &peer.address.to_string(), CALLS[0], CALLS[1]];
    script(&tools::program("java"), "java/Client.java", &words)
}

fn assert_no_stream_is_claimed(line: &Value) {
    let connection = &line["connection"];
    assert_eq!((&connection["view"], &connection["transport"]), (&"records".into(), &"tls".into()), "{line}");
    for name in NULL_WITHOUT_FRAMES {
        assert!(connection[name].is_null(), "`{name}` is claimed: {line}");
    }
    assert!(connection["http2_evidence"].is_string(), "{line}");
}

fn calls(line: &Value) -> u64 {
    let connection = &line["connections"][0];
    connection["records_sent"]["application"].as_u64().unwrap_or(0)
}

/// Healthy for a while, then stopped, then on again. `why` is a part of the coverage's reason.
fn assert_watched_by_records(command: fn(&Peer) -> Vec<String>, options: &[&str], why: &str) {
    let _turn = take_turns();
    let peer = Peer::start(options);
    let watch = Watch::run(&["--stall-after", "1s", "--interval", "100ms"], &command(&peer));
    let open = watch.wait_for(LONG, "open", |line| line["type"] == "open").content;
    assert_no_stream_is_claimed(&open);
    let reason = watch.wait_for(LONG, "process", |line| {
        line["type"] == "process" && line["process"]["reason"].to_string().contains(why)
    });
    assert_eq!(reason.content["process"]["view"], "records", "{:?}", reason.content);

    let before = watch.fresh_snapshot();
    let end = Instant::now() + HEALTHY;
    wait_until(LONG, "time passes", || (Instant::now() > end).then_some(()));
    let after = watch.fresh_snapshot();
    assert!(calls(&after) > calls(&before) + 4, "the client calls: {before} {after}");
    let flagged = |line: &Value| line["type"] == "stall";
    assert!(!watch.lines().iter().any(flagged), "false stall: {:?}", watch.lines());

    signal_process(peer.pid(), Signal::STOP);
    let stall = watch.wait_for(LONG, "stall", flagged).content;
    signal_process(peer.pid(), Signal::CONT);
    assert_no_stream_is_claimed(&stall);
    assert!(stall["connection"]["records_unanswered"].as_u64() >= Some(2), "{stall}");
    let recover = watch.wait_for(LONG, "recover", |line| line["type"] == "recover").content;
    assert_no_stream_is_claimed(&recover);
    let ended = watch.stop();
    for line in ended.of("snapshot") {
        for connection in line["connections"].as_array().into_iter().flatten() {
            assert_no_stream_is_claimed(&serde_json::json!({ "connection": connection }));
        }
    }
    assert!(ended.summary()["totals"]["streams_opened"].as_u64().unwrap_or(0) == 0, "{}", ended.summary());
}

#[test]
fn rustls_stripped() {
    assert_watched_by_records(rustls, &[], "rustls");
}

#[test]
fn rustls_stripped_with_tls_1_2() {
    assert_watched_by_records(rustls, &["tls12"], "rustls");
}

#[test]
fn java_http_client() {
    assert_watched_by_records(java, &[], "JSSE");
}

#[test]
fn a_stopped_server_is_flagged_at_every_depth() {
    let _turn = take_turns();
    for depth in ["frames", "streams", "records"] {
        let peer = Peer::start(&[]);
        let program = tools::go_client().to_string_lossy().into_owned();
        let words = [&*program, "caller", &peer.origin(), CALLS[0], CALLS[1], "/bytes/10", "0"];
        let words = words.map(str::to_owned);
        let mut watch = Watch::run(&["--tls", depth, "--stall-after", "1s", "--min-streams", "1"], &words);
        watch.wait_until_ready();
        watch.tell("connect");
        watch.wait_for(LONG, "open", |line| line["type"] == "open");
        signal_process(peer.pid(), Signal::STOP);
        let stall = watch.wait_for(LONG, "stall", |line| line["type"] == "stall").content;
        assert_eq!(stall["connection"]["view"], depth);
        assert_eq!(stall["connection"]["streams_opened"].is_null(), depth == "records", "{stall}");
        signal_process(peer.pid(), Signal::CONT);
        watch.stop();
    }
}
