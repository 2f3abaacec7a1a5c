//! 3 % of the segments lost in both directions between two network namespaces: what the client opened stays exact, nobody
//! is called stalled, and what a hole makes inexact is marked and heals.

use crate::support::compare::{approximate, counted, desyncs, number};
use crate::support::link::Link;
use crate::support::netns::Cable;
use crate::support::programs::{installed, role};
use crate::support::watch::{Ended, Watch};
use crate::support::{now_ns, servers, take_turns};
use serde_json::Value;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

const PERCENT: u32 = 3;
/// So much that holes are given up before they are filled.
const HEAVY_PERCENT: u32 = 10;

/// A server and a recording link before it, both in the server's namespace; the lossy cable is before the link.
fn lossy_link(cable: &Cable, address: IpAddr, percent: u32) -> Link {
    let bind = move |ip: IpAddr| TcpListener::bind(SocketAddr::new(ip, 0)).expect("a free port");
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let server = servers::start_on(cable.server.inside(move || bind(loopback)));
    let listener = cable.server.inside(move || bind(address));
    // The link connects to the server from within the namespace.
    let link = cable.server.inside(move || Link::between(listener, server));
    cable.lose(percent);
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
    let once_approximate = once_approximate(ended);
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
    let link = lossy_link(&cable, cable.server.v4, PERCENT);
    let url = format!("http://{}/bytes/4000", link.address);
    let ended = watch_over_loss(&installed("h2load", &["-n", "5000", "-c", "5", "-m", "20", &url]), &cable);
    assert!(ended.errors.contains("5000 succeeded"), "h2load: {}", ended.errors);
    assert_eq!(assert_sending_side_exact(&ended, &link), 5000);
}

#[test]
fn own_client_over_a_lossy_path_with_ipv6() {
    let _turn = take_turns();
    let cable = Cable::new();
    let link = lossy_link(&cable, cable.server.v6, PERCENT);
    let client = role("mixed", &[link.address.to_string(), "1000".into(), "20".into()]);
    let ended = watch_over_loss(&client, &cable);
    assert_eq!(assert_sending_side_exact(&ended, &link), 1000);
}

/// After the loss ends and all streams of that time are over, nothing is approximate any more.
#[test]
fn approximate_counts_heal_by_themselves() {
    let _turn = take_turns();
    let cable = Cable::new();
    let link = lossy_link(&cable, cable.server.v4, HEAVY_PERCENT);
    let address = link.address.to_string();
    let arguments = ["5", "20000", "/bytes/30000", &address, &address].map(str::to_owned);
    let words = [cable.client.enter(), role("steady", &arguments)].concat();
    let watch = Watch::run(&["--interval", "100ms"], &words);
    watch.wait_until_ready();
    std::thread::sleep(Duration::from_secs(5));
    cable.lose_nothing();
    // 200 streams are opened in a second, and answered at once: more would be some whose end was missed.
    let exact = |c: &Value| {
        !approximate(c)
            && c["resyncing"] == false
            && c["verdict"] != "stalled"
            && number(c, "streams_in_flight") < 200
    };
    let (from, loss_ended_ns) = (watch.count(), now_ns());
    // What was lost last is sent again once more; then it is exact, and stays so for ten snapshots.
    let in_a_row = Cell::new(0);
    let healed = |line: &Value| {
        let list = line["connections"].as_array().filter(|list| list.len() == 2);
        in_a_row.set(if list.is_some_and(|list| list.iter().all(exact)) { in_a_row.get() + 1 } else { 0 });
        in_a_row.get() == 10
    };
    let snapshots_only = |line: &Value| line["type"] == "snapshot" && healed(line);
    let (_, line) = watch.wait_after(from, Duration::from_secs(20), "exact again", snapshots_only);
    println!(
        "exact for a second {:?} after the loss ended",
        Duration::from_nanos(line.at_ns - loss_ended_ns)
    );
    for connection in connections(&line.content) {
        // The server sends no frames of unknown types: those would be payload that was taken for headers.
        assert_eq!(number(&connection["frames_received"], "unknown"), 0, "{connection}");
    }
    let ended = watch.stop();
    let of_all = |name| ended.connections().values().map(|c| number(c, name)).sum::<u64>();
    println!(
        "{HEAVY_PERCENT} % lost: holes {}, missed frames in {}, desyncs {}, resyncs {}, approximate in {} connection snapshots",
        of_all("holes"),
        of_all("holes_missed"),
        of_all("desyncs"),
        of_all("resyncs"),
        once_approximate(&ended)
    );
    assert!(of_all("holes") > 0, "the loss made holes");
    let desyncs = number(&ended.summary()["totals"], "desyncs");
    assert_eq!(of_all("desyncs"), desyncs, "the summary counts every desync");
    assert!(of_all("resyncs") >= desyncs, "every desync was resolved");
}

/// In how many snapshots of a connection it was marked.
fn once_approximate(ended: &Ended) -> usize {
    snapshots(ended).flat_map(connections).filter(|c| approximate(c)).count()
}
