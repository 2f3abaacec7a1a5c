//! What is said before a judgement: each rule's "not enough data yet".

use super::stage::{Scene, dead_path, ns};
use crate::model::sample::{Goaway, TcpFacts};
use crate::model::staged::quiet_tcp;
use crate::verdict::{Cause, State};

/// Two streams wait, and `act` happens; what is said then.
fn said(act: impl FnOnce(&mut Scene)) -> String {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    scene.c.wait(250).open(2).tcp(quiet_tcp());
    act(&mut scene);
    scene.look();
    assert_eq!(scene.last().verdict.state, State::Waiting, "{}", scene.evidence());
    let (_, missing) = scene.evidence().split_once("; not enough data yet: ").expect("it is said");
    missing.to_owned()
}

fn with_facts(facts: TcpFacts) -> String {
    said(|scene| {
        scene.c.tcp(facts);
    })
}

#[test]
fn a_black_hole_waits_for_the_third_expiry() {
    let expired = |ms| with_facts(dead_path(ms));
    assert_eq!(expired(300), "retransmission timer expired 1 time without an answer");
    assert_eq!(expired(700), "retransmission timer expired 2 times without an answer");
}

#[test]
fn an_unread_queue_and_a_closed_window_get_a_second() {
    let unread = with_facts(TcpFacts { receive_queue: 900, ..quiet_tcp() });
    assert_eq!(unread, "bytes wait in the receive queue, for less than a second");
    let shut = said(|scene| {
        scene.c.reading.received.zero_window_ns = Some(ns(scene.c.now_ms));
        scene.c.tcp(TcpFacts { send_queue: 900, ..quiet_tcp() });
    });
    assert_eq!(shut, "the peer's receive window is closed, for less than a second");
}

/// An upload whose windows cannot be added up, for each reason that there is.
#[test]
fn flow_control_says_why_it_cannot_know() {
    let unknown = |missed: fn(&mut Scene)| {
        said(|scene| {
            scene.c.reading.sent.data_bytes = 40_000;
            scene.c.reading.streams.sending = 1;
            missed(scene);
        })
    };
    let because = |why| format!("whether a flow-control window is used up is not known, because {why}");
    assert_eq!(
        unknown(|scene| scene.c.reading.seeded = true),
        because("the connection's beginning was not seen")
    );
    let missed = because("frames were missed");
    assert_eq!(unknown(|scene| scene.c.reading.received.holes_missed = 1), missed);
    assert_eq!(unknown(|scene| scene.c.reading.received.resyncing = true), missed);
    assert_eq!(unknown(|scene| scene.c.reading.sent.desyncs = 1), missed);
    // Found late once is found late for good, even when SETTINGS come by later.
    let late = unknown(|scene| {
        let settings = scene.c.reading.sent.settings.take();
        scene.look();
        scene.c.reading.sent.settings = settings;
    });
    assert_eq!(late, because("the connection's beginning was not seen"));
}

/// Requests without a body use no window: nothing is said of windows there.
#[test]
fn flow_control_says_nothing_where_no_body_is_sent() {
    let mut scene = Scene::fixed();
    scene.c.reading.seeded = true;
    scene.c.open(2).tcp(quiet_tcp());
    scene.look();
    assert_eq!(
        scene.evidence(),
        "2 streams in 0 ms without a frame; a stall after 3.0 s with at least 2 streams"
    );
}

#[test]
fn goaway_gives_a_client_its_moment() {
    let said = said(|scene| {
        let at_ns = ns(scene.c.now_ms);
        let last_stream = scene.c.reading.streams.highest;
        scene.c.reading.received.goaway = Some(Goaway { at_ns, last_stream, code: 0 });
        scene.c.open(1);
    });
    assert_eq!(said, "streams were opened after GOAWAY, within the moment that a client needs");
}

#[test]
fn a_living_peer_gets_its_time() {
    let said = said(|scene| {
        scene.c.wait(500).heard().wait(500).open(1);
    });
    assert_eq!(said, "3 streams without an answer for 1.0 s, but the peer's HTTP/2 layer is alive");
}

#[test]
fn a_silent_peer_needs_an_acknowledgement() {
    let unacked = TcpFacts { unacked: 2, ..quiet_tcp() };
    assert_eq!(with_facts(unacked), "nothing was acknowledged since the wait began");
}

/// By the clock it is a stall; why is not known yet, and each rule that waits for something says so.
#[test]
fn what_is_missing_is_in_the_sentence_of_an_unknown_cause() {
    let mut scene = Scene::fixed();
    scene.c.open(2);
    scene.run(4_000, |c, _| {
        c.tcp(TcpFacts { last_ack_received_ms: 4_000, ..dead_path(300) });
    });
    assert_eq!(scene.cause(), Some(Cause::Unknown));
    let missing = "; cause not known: retransmission timer expired 1 time without an answer; 5 segments are being \
                   retransmitted: whether the peer's kernel is alive shows after the third time";
    assert!(scene.evidence().ends_with(missing), "{}", scene.evidence());
}

/// A peer that acknowledges something may owe the rest: "everything is acknowledged" would be wrong.
#[test]
fn what_is_sent_is_not_said_to_be_acknowledged_where_some_is_not() {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    scene.run(4_000, |c, _| {
        c.open(1).tcp(TcpFacts { unacked: 3, ..quiet_tcp() });
        c.reading.received.last_ack_ns = Some(ns(c.now_ms));
    });
    assert_eq!(scene.cause(), Some(Cause::SilentPeer));
    let gives_up = scene.last().verdict.gives_up.as_deref();
    assert_eq!(gives_up, Some("never by itself, as long as the peer's kernel acknowledges"));
}

/// Bytes that wait inside of the process are not seen, and no verdict is made from them.
#[test]
fn an_idle_connection_says_that_the_network_is_not_why() {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    assert_eq!(
        scene.evidence(),
        "nothing waits: for requests that hang now no HEADERS were sent, the network is not why"
    );
}
