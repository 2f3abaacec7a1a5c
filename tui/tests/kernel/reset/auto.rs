//! `--reset auto` does it, and says whether it helped.

use super::{Stage, both, link, patient, steady};
use crate::support::netns::Cable;
use crate::support::programs::role;
use crate::support::{servers, take_turns};
use std::net::TcpListener;

#[test]
fn a_dead_connection_is_reset_and_its_outcome_is_followed() {
    let _turn = take_turns();
    let (dead, link) = (link(), link());
    let clients = both(&patient(dead.address), &steady(&[link.address]));
    // Longer than a busy machine keeps the healthy neighbour waiting.
    let mut stage = Stage::play(&["--reset", "auto", "--stall-after", "2s"], &clients);
    dead.unplug();
    let done = stage.decision("done");
    dead.plug_in();
    assert_eq!(done["mode"], "auto");
    assert_eq!(done["connection"]["remote"], dead.address.to_string(), "{done}");
    assert_eq!(done["connection"]["verdict"], "stalled", "{done}");
    assert!(done["latency_us"].is_u64(), "{done}");
    let broken = stage.watch.wait_for_word(super::SOON, "BROKEN ");
    assert!(broken.contains("abort"), "the client is told by its kernel: {broken}");
    let followed = stage.decision("followed");
    let ms = |key: &str| followed[key].as_u64().unwrap_or_else(|| panic!("no {key} in {followed}"));
    assert!(ms("new_connection_after_ms") <= ms("first_frame_after_ms"), "{followed}");
    assert_eq!(followed["streams_lost"], 4, "one for each worker: {followed}");
    let ended = stage.end();
    assert_eq!(ended.summary()["totals"]["resets"], 1, "the healthy neighbour is left alone");
    let latency = &ended.summary()["reset_latency"];
    assert_eq!((&latency["count"], &latency["sum_us"]), (&1.into(), &done["latency_us"]), "{latency}");
    assert_eq!(ended.errors.matches("BROKEN").count(), 1, "{}", ended.errors);
}

/// What docs/reset.md says of hyper.
#[test]
fn hypers_pool_fails_the_request_in_flight_and_dials_for_the_next_one() {
    let _turn = take_turns();
    let client = role("pooled", &[servers::start().to_string()]);
    let mut stage = Stage::play(&["--reset", "auto", "--min-streams", "1"], &client);
    stage.decision("done");
    let hung = stage.watch.wait_for_word(super::SOON, "HUNG ");
    let next = stage.watch.wait_for_word(super::SOON, "NEXT ");
    println!("hyper: the request in flight: {hung}; the next one: {next}");
    assert!(hung.contains("abort"), "{hung}");
    assert_eq!(next, "answered 200 OK");
    assert!(stage.decision("followed")["first_frame_after_ms"].is_u64());
    stage.end();
}

const CUT: &str = "table inet cut {
  chain arriving { type filter hook input priority 0; drop; }
  chain leaving { type filter hook output priority 0; drop; }
}";

/// h2watch itself stays where it is.
#[test]
fn a_connection_in_another_network_namespace_is_reset_there() {
    let _turn = take_turns();
    let cable = Cable::new();
    let address = cable.server.v4;
    let listener = cable.server.inside(move || TcpListener::bind((address, 0)).expect("a free port"));
    let client = [cable.client.enter(), patient(servers::start_on(listener))].concat();
    let mut stage = Stage::play(&["--reset", "auto"], &client);
    cable.server.nft(CUT);
    let done = stage.decision("done");
    let v4 = format!("{}:", cable.client.v4);
    assert!(done["connection"]["local"].as_str().is_some_and(|local| local.starts_with(&v4)), "{done}");
    stage.watch.wait_for_word(super::SOON, "BROKEN ");
    cable.server.nft("delete table inet cut");
    let followed = stage.decision("followed");
    assert!(followed["first_frame_after_ms"].is_u64(), "{followed}");
    stage.end();
}
