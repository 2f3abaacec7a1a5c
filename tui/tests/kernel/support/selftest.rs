//! The machinery without h2watch: what the link records and the oracle counts is what the clients say, and the cable loses.

use super::compare::counted;
use super::link::Link;
use super::netns::Cable;
use super::programs::{Program, installed, role};
use super::{servers, take_turns, tools};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

fn run_through_a_link(client: impl Fn(SocketAddr) -> Vec<String>) -> (u64, u64) {
    let link = Link::to(servers::start());
    let words = client(link.address);
    let output = Command::new(&words[0]).args(&words[1..]).output().expect("the client starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut streams, mut resets) = (0, 0);
    for (client, exchange) in counted(&link) {
        assert_eq!((exchange.sent.rest, exchange.received.rest), (0, 0), "{client}");
        streams += exchange.sent.streams;
        resets += exchange.sent.frames.get("rst_stream").unwrap_or(&0);
        println!("{client}: {exchange:?}");
    }
    (streams, resets)
}

#[test]
fn the_oracle_counts_what_the_own_client_says() {
    let _turn = take_turns();
    let mixed = |address: SocketAddr| role("mixed", &[address.to_string(), "1000".into(), "20".into()]);
    assert_eq!(run_through_a_link(mixed).0, 1000);
}

#[test]
fn the_oracle_counts_what_node_says() {
    let _turn = take_turns();
    let script = tools::client_source("client.mjs");
    let node =
        |address| installed("node", &[&script.to_string_lossy(), &format!("http://{address}"), "700", "15"]);
    assert_eq!(run_through_a_link(node), (700, 100));
}

#[test]
fn the_oracle_counts_what_go_says() {
    let _turn = take_turns();
    let go = tools::go_client().to_string_lossy().into_owned();
    let client =
        |address| vec![go.clone(), format!("http://{address}/bytes/5000"), "1000".into(), "20".into()];
    assert_eq!(run_through_a_link(client).0, 1000);
}

#[test]
fn the_oracle_counts_what_h2load_says() {
    let _turn = take_turns();
    let h2load = |address| {
        installed("h2load", &["-n", "20000", "-c", "10", "-m", "10", &format!("http://{address}/bytes/100")])
    };
    assert_eq!(run_through_a_link(h2load).0, 20_000);
}

#[test]
fn the_cable_loses_segments_and_still_delivers() {
    let _turn = take_turns();
    let cable = Cable::new();
    let address = SocketAddr::new(cable.server.v6, 0);
    let server =
        servers::start_on(cable.server.inside(move || TcpListener::bind(address).expect("a free port")));
    cable.lose(3);
    let words =
        [cable.client.enter(), role("mixed", &[server.to_string(), "300".into(), "20".into()])].concat();
    let mut client = Program::start(&words);
    let said: serde_json::Value = serde_json::from_str(&client.hear("CLIENT ")).expect("JSON");
    assert_eq!(said["opened"], 300);
    let statistics =
        tools::run("ip", &["netns", "exec", cable.client.name(), "nstat", "-az", "TcpRetransSegs"]);
    println!("{statistics}");
    let retransmitted = statistics.split_whitespace().skip_while(|word| *word != "TcpRetransSegs").nth(1);
    assert!(retransmitted.is_some_and(|n| n != "0"), "{statistics}");
}
