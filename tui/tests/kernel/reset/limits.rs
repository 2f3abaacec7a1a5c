//! What `--reset auto` spares: each refusal has its reason in a line.

use super::{Stage, both, link, patient, steady};
use crate::support::take_turns;
use serde_json::Value;

fn is_of(line: &Value, remote: std::net::SocketAddr) -> bool {
    line["connection"]["remote"] == remote.to_string()
}

#[test]
fn a_dry_run_decides_and_touches_nothing() {
    let _turn = take_turns();
    let link = link();
    let mut stage = Stage::play(&["--reset", "dry-run"], &patient(link.address));
    link.unplug();
    assert_eq!(stage.decision("dry_run")["mode"], "dry-run");
    link.plug_in();
    stage.next_of("recover");
    let ended = stage.end();
    assert_eq!(ended.summary()["totals"]["resets"], 0);
    let decided = ended.of("reset").into_iter().filter(|line| line["result"] == "dry_run");
    assert_eq!(decided.count(), 1, "once: {:#?}", ended.of("reset"));
    assert!(!ended.errors.contains("BROKEN"), "{}", ended.errors);
}

#[test]
fn a_budget_that_is_used_up_spares_the_next_connection() {
    let _turn = take_turns();
    let links = [link(), link()];
    let addresses = [links[0].address, links[1].address];
    let mut stage = Stage::play(&["--reset", "auto", "--reset-budget", "1/h"], &steady(&addresses));
    links.iter().for_each(crate::support::link::Link::unplug);
    stage.decision("done");
    stage.refusal("--reset-budget");
    let ended = stage.end();
    assert_eq!(ended.summary()["totals"]["resets"], 1);
}

/// The peer is dead, not the connection; another peer is another matter.
#[test]
fn a_replacement_to_the_same_destination_cools_down() {
    let _turn = take_turns();
    let (dead, other) = (link(), link());
    let clients = both(&patient(dead.address), &patient(other.address));
    let mut stage = Stage::play(&["--reset", "auto", "--reset-cool-down", "1h"], &clients);
    dead.unplug();
    assert!(is_of(&stage.decision("done"), dead.address));
    let refused = stage.refusal("--reset-cool-down");
    assert!(is_of(&refused, dead.address), "{refused}");
    other.unplug();
    assert!(is_of(&stage.decision("done"), other.address));
    assert_eq!(stage.end().summary()["totals"]["resets"], 2);
}

/// The verdict was right, and the reset would have been wrong.
#[test]
fn a_peer_that_answers_after_the_verdict_keeps_its_connection() {
    let _turn = take_turns();
    let link = link();
    let mut stage = Stage::play(&["--reset", "auto", "--reset-after", "1h"], &patient(link.address));
    link.unplug();
    stage.refusal("--reset-after");
    link.plug_in();
    stage.refusal("the peer answered");
    let ended = stage.end();
    assert_eq!(ended.summary()["totals"]["resets"], 0);
    assert!(!ended.errors.contains("BROKEN"), "{}", ended.errors);
}
