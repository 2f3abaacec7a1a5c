//! 3 % of the segments lost in both directions between two network namespaces: what the client opened stays exact, nobody
//! is called stalled, and what a hole makes inexact is marked and heals.

use crate::support::compare::{approximate, counted, desyncs, number};
use crate::support::link::Link;
use crate::support::netns::Cable;
use crate::support::programs::{installed, role};
use crate::support::watch::{Ended, Watch};
use crate::support::{servers, take_turns};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

const PERCENT: u32 = 3;

/// A server and a recording link before it, both in the server's namespace; the lossy cable is before the link.
fn lossy_link(cable: &Cable, address: IpAddr) -> Link {
    let bind = move |ip: IpAddr| TcpListener::bind(SocketAddr::new(ip, 0)).expect("a free port");
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let server = servers::start_on(cable.server.inside(move || bind(loopback)));
    let listener = cable.server.inside(move || bind(address));
    // The link connects to the server from within the namespace.
    let link = cable.server.inside(move || Link::between(listener, server));
    cable.lose(PERCENT);
    link
}

fn watch_over_loss(words: &[String], cable: &Cable) -> Ended {
    let all = [cable.client.enter(), words.to_vec()].concat();
    let watch = Watch::run(&["--interval", "100ms"], &all);
    let ended = watch.end(Duration::from_secs(240));
    assert!(ended.status.success(), "{}", ended.errors);
    ended
}

/// Compares what holds under loss, and prints what was seen of it.
fn assert_sending_side_exact(ended: &Ended, link: &Link) -> u64 {
    let watched = ended.connections();
    let mut streams = 0;
    for (client, exchange) in counted(link) {
        let connection = &watched[&client];
        assert_eq!(number(connection, "streams_opened"), exchange.sent.streams, "streams opened on {client}");
        let resets = exchange.sent.frames.get("rst_stream").copied().unwrap_or(0);
        assert_eq!(number(connection, "streams_reset_sent"), resets, "RST_STREAM sent on {client}");
        streams += exchange.sent.streams;
        println!(
            "{client}: {} received frames of {}",
            connection["frames_received"]["total"],
            exchange.received.frames.values().sum::<u64>()
        );
    }
    assert!(ended.of("stall").is_empty(), "false stall: {:#?}", ended.of("stall"));
    let once_approximate = snapshots(ended).flat_map(connections).filter(|c| approximate(c)).count();
    let retransmits: u64 = watched.values().map(|c| number(c, "retransmits_sent")).sum();
    println!(
        "desyncs {}, retransmits {retransmits}, approximate in {once_approximate} connection snapshots",
        desyncs(ended.summary())
    );
    assert!(retransmits > 0, "segments were lost");
    streams
}

fn snapshots(ended: &Ended) -> impl Iterator<Item = &Value> {
    ended.lines.iter().filter(|line| line["type"] == "snapshot")
}

fn connections(snapshot: &Value) -> impl Iterator<Item = &Value> {
    snapshot["connections"].as_array().into_iter().flatten()
}

#[test]
fn h2load_over_a_lossy_path() {
    let _turn = take_turns();
    let cable = Cable::new();
    let link = lossy_link(&cable, cable.server.v4);
    let url = format!("http://{}/bytes/4000", link.address);
    let ended = watch_over_loss(&installed("h2load", &["-n", "5000", "-c", "5", "-m", "20", &url]), &cable);
    assert!(ended.errors.contains("5000 succeeded"), "h2load: {}", ended.errors);
    assert_eq!(assert_sending_side_exact(&ended, &link), 5000);
}

#[test]
fn own_client_over_a_lossy_path_with_ipv6() {
    let _turn = take_turns();
    let cable = Cable::new();
    let link = lossy_link(&cable, cable.server.v6);
    let client = role("mixed", &[link.address.to_string(), "1000".into(), "20".into()]);
    let ended = watch_over_loss(&client, &cable);
    assert_eq!(assert_sending_side_exact(&ended, &link), 1000);
}

/// After the loss ends and all streams of that time are over, nothing is approximate any more.
#[test]
fn approximate_counts_heal_by_themselves() {
    let _turn = take_turns();
    let cable = Cable::new();
    let link = lossy_link(&cable, cable.server.v4);
    let address = link.address.to_string();
    let arguments = ["5", "20000", "/bytes/30000", &address, &address].map(str::to_owned);
    let words = [cable.client.enter(), role("steady", &arguments)].concat();
    let watch = Watch::run(&["--interval", "100ms"], &words);
    watch.wait_until_ready();
    std::thread::sleep(Duration::from_secs(5));
    cable.server.nft("delete table inet lossy");
    let healed = |line: &Value| {
        let list = line["connections"].as_array().filter(|list| list.len() == 2);
        list.is_some_and(|list| list.iter().all(|c| !approximate(c) && c["verdict"] != "stalled"))
    };
    let from = watch.count();
    watch.wait_after(from, Duration::from_secs(15), "exact again", healed);
    // And it stays so: in flight is what the client has in flight, a few streams.
    let exact = watch.fresh_snapshot();
    for connection in connections(&exact) {
        assert!(!approximate(connection), "{connection}");
        assert!(number(connection, "streams_in_flight") < 200, "{connection}");
    }
    let ended = watch.stop();
    assert!(ended.of("stall").is_empty(), "false stall: {:#?}", ended.of("stall"));
}
