//! Samples without TCP facts in the middle of a stall: a look for another connection, or too many suspicious ones at once.

use super::stage::{Scene, dead_path, example, ns};
use crate::model::snapshot::Change;
use crate::model::staged::Staged;
use crate::verdict::{Cause, State};

/// Looks again after `ms` without facts, and says how many lines that gave.
fn look_unseen(scene: &mut Scene, ms: u64) -> usize {
    let told = scene.told.len();
    scene.c.wait(ms);
    scene.c.reading.tcp = None;
    scene.look();
    scene.told.len() - told
}

/// Answers to earlier streams go on arriving, so that nothing but the rule keeps the stall.
fn heard_in_between(c: &mut Staged) {
    c.answer(1).open(1);
    c.reading.received.last_ack_ns = None;
}

#[test]
fn one_sample_without_tcp_facts_changes_no_stall() {
    for cause in Cause::ALL {
        let mut scene = example(cause).unwrap_or_else(|| panic!("{cause:?} has an example"));
        let facts = scene.c.reading.tcp;
        assert_eq!(look_unseen(&mut scene, 250), 0, "{cause:?}: {:#?}", scene.told.last());
        assert_eq!(scene.cause(), Some(cause));
        scene.c.wait(250);
        scene.c.reading.tcp = facts;
        let told = scene.told.len();
        scene.look();
        assert_eq!((scene.told.len(), scene.cause()), (told, Some(cause)));
    }
}

/// A path that is dead in one direction: frames arrive, what is sent is never acknowledged.
fn one_way() -> Scene {
    let mut scene = Scene::fixed();
    scene.busy(2_000);
    scene.c.open(50);
    scene.run(4_000, |c, passed| {
        heard_in_between(c);
        c.tcp(dead_path(passed));
    });
    assert_eq!(scene.cause(), Some(Cause::BlackHole), "{}", scene.evidence());
    scene
}

#[test]
fn a_black_hole_whose_peer_is_still_heard_does_not_flap() {
    let mut scene = one_way();
    heard_in_between(&mut scene.c);
    assert_eq!(look_unseen(&mut scene, 1), 0, "{:#?}", scene.told.last());
    assert_eq!(scene.cause(), Some(Cause::BlackHole));
}

#[test]
fn a_closed_window_whose_peer_is_still_heard_does_not_flap() {
    let mut scene = example(Cause::PeerWindowClosed).unwrap();
    scene.c.open(50);
    scene.run(500, |c, _| heard_in_between(c));
    assert_eq!(scene.cause(), Some(Cause::PeerWindowClosed), "{}", scene.evidence());
    heard_in_between(&mut scene.c);
    assert_eq!(look_unseen(&mut scene, 1), 0, "{:#?}", scene.told.last());
}

#[test]
fn an_acknowledgement_ends_it_without_tcp_facts() {
    let mut scene = one_way();
    scene.c.wait(250);
    heard_in_between(&mut scene.c);
    scene.c.reading.received.last_ack_ns = Some(ns(scene.c.now_ms));
    look_unseen(&mut scene, 1);
    assert!(matches!(scene.told.last(), Some((_, Change::Recovered { .. }))), "{:#?}", scene.told.last());
}

#[test]
fn nothing_is_held_where_nothing_waits_or_for_ever() {
    let mut scene = one_way();
    let open = scene.c.reading.streams.in_flight;
    scene.c.answer(open);
    scene.c.reading.received.last_ack_ns = None;
    look_unseen(&mut scene, 1);
    assert_ne!(scene.last().verdict.state, State::Stalled);
    let mut scene = one_way();
    for _ in 0..20 {
        scene.c.wait(250);
        heard_in_between(&mut scene.c);
        look_unseen(&mut scene, 0);
    }
    assert_ne!(scene.last().verdict.state, State::Stalled, "five seconds without evidence");
}
