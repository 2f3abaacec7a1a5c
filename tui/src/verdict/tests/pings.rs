//! What PINGs, their answers and ENHANCE_YOUR_CALM say: whether the peer's HTTP/2 layer is alive while no stream is answered.

use super::stage::{Scene, hung, ns, stopped_server};
use crate::model::sample::Goaway;
use crate::model::snapshot::Change;
use crate::model::staged::quiet_tcp;
use crate::verdict::{Cause, Severity, State};

#[test]
fn pings_answered_and_streams_not_is_a_hung_server() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.busy(3_000);
        let start = scene.c.now_ms;
        hung(&mut scene, 40_000);
        let after = scene.stalled_at().unwrap() - start;
        assert!((30_000..=31_000).contains(&after), "{after}");
        assert_eq!(scene.causes(), [Cause::HungServer]);
        assert_eq!(scene.last().verdict.severity, Severity::Warning);
        assert!(scene.evidence().contains("PING was answered"), "{}", scene.evidence());
        scene.c.answer(1);
        scene.look();
        assert_eq!(scene.last().verdict.state, State::Healthy.min(scene.last().verdict.state));
        assert!(matches!(scene.told.last(), Some((_, Change::Recovered { .. }))));
    }
}

#[test]
fn silence_that_only_a_ping_ack_ends_sharpens_to_hung_server() {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    stopped_server(&mut scene, 5_000);
    scene.run(20_000, |c, passed| {
        c.open(1);
        if passed % 2_000 == 0 {
            c.ping_ack();
        }
    });
    assert_eq!(scene.causes(), [Cause::SilentPeer, Cause::HungServer]);
    assert_eq!(scene.last().stalls, 1);
}

/// Real: a WINDOW_UPDATE came a second after the first of the streams, and then nothing any more.
#[test]
fn a_frame_from_before_the_stall_makes_no_hung_server() {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    scene.c.open(1);
    scene.run(1_000, |_, _| {});
    scene.c.heard();
    stopped_server(&mut scene, 8_000);
    assert_eq!(scene.causes(), [Cause::SilentPeer]);
}

/// As Go's client does after the first stream that it gives up: one PING, which is answered, and no other.
fn one_ping(scene: &mut Scene, after_ms: u64) {
    scene.c.open(1);
    scene.run(after_ms, |c, _| {
        c.open(1);
    });
    scene.c.reading.sent.pings += 1;
    scene.c.reading.sent.last_ping_ns = Some(ns(scene.c.now_ms));
    scene.c.wait(5).ping_ack();
}

#[test]
fn one_ping_that_is_answered_while_streams_wait_makes_a_hung_server() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.busy(4_000);
        one_ping(&mut scene, 1_000);
        stopped_server(&mut scene, 8_000);
        assert_eq!(scene.causes(), [Cause::SilentPeer, Cause::HungServer]);
    }
}

/// A peer that dies a moment after a PING ACK: the streams of that moment had no time for an answer.
#[test]
fn a_ping_ack_of_the_moment_before_it_died_is_no_sign_of_life() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.busy(4_000);
        one_ping(&mut scene, 0);
        stopped_server(&mut scene, 8_000);
        assert_eq!(scene.causes(), [Cause::SilentPeer]);
    }
}

/// The same with a server whose answers take two seconds: what is soon is for the destination to say.
#[test]
fn a_ping_ack_within_a_normal_wait_is_no_sign_of_life() {
    let mut scene = Scene::fixed();
    scene.run(20_000, |c, passed| match passed % 2_500 {
        250 => {
            c.open(2);
        }
        2_250 => {
            c.answer(2);
        }
        _ => {}
    });
    one_ping(&mut scene, 1_500);
    stopped_server(&mut scene, 8_000);
    assert_eq!(scene.causes(), [Cause::SilentPeer]);
}

/// Half a minute is long for streams without an answer, but nobody answers anything here.
#[test]
fn time_alone_makes_no_hung_server_of_a_silent_peer() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.busy(4_000);
        one_ping(&mut scene, 0);
        stopped_server(&mut scene, 200_000);
        assert_eq!(scene.causes(), [Cause::SilentPeer]);
    }
}

/// First what is behind the peer's HTTP/2 layer hangs, then that layer as well: one stall, and no recovery in between.
#[test]
fn a_hung_server_that_dies_becomes_a_silent_peer() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.busy(4_000);
        hung(&mut scene, 35_000);
        assert_eq!(scene.causes(), [Cause::HungServer]);
        scene.run(20_000, |c, passed| {
            c.open(1).tcp(quiet_tcp());
            if passed % 1_000 == 0 {
                c.abandon(4);
                c.reading.sent.pings += 1;
                c.reading.sent.last_ping_ns = Some(ns(c.now_ms));
            }
        });
        assert_eq!(scene.causes(), [Cause::HungServer, Cause::SilentPeer]);
        assert!(!scene.told.iter().any(|(_, change)| matches!(change, Change::Recovered { .. })));
        assert_eq!(scene.last().stalls, 1);
    }
}

/// Answered late in the wait, but the next ones are not: the peer died in between. With one PING at a time, and on a timer.
#[test]
fn a_later_ping_that_waits_outweighs_one_that_was_answered() {
    for on_a_timer in [false, true] {
        let mut scene = Scene::fixed();
        scene.busy(4_000);
        one_ping(&mut scene, 1_000);
        let dead = |scene: &mut Scene, ms| {
            scene.run(ms, |c, passed| {
                c.open(1).tcp(quiet_tcp());
                if passed == 1_000 || (on_a_timer && passed % 500 == 0) {
                    c.reading.sent.pings += 1;
                    c.reading.sent.last_ping_ns = Some(ns(c.now_ms));
                }
            });
        };
        dead(&mut scene, 8_000);
        assert_eq!(scene.causes(), [Cause::SilentPeer], "on a timer: {on_a_timer}");
        // And is answered after all.
        scene.c.ping_ack();
        scene.look();
        assert_eq!(scene.causes(), [Cause::SilentPeer, Cause::HungServer], "on a timer: {on_a_timer}");
    }
}

/// gRPC servers answer too many PINGs with it, proxies too many resets (RFC 9113, section 7).
#[test]
fn enhance_your_calm_is_named_in_evidence_and_advice() {
    let mut scene = Scene::auto();
    scene.busy(2_000);
    scene.c.reading.sent.pings = 9;
    let last_stream = scene.c.reading.streams.highest;
    scene.c.reading.received.goaway = Some(Goaway { at_ns: ns(scene.c.now_ms), last_stream, code: 0xb });
    scene.c.heard();
    scene.run(2_500, |c, _| {
        c.open(1).heard();
    });
    assert_eq!(scene.causes(), [Cause::GoawayIgnored]);
    let end = format!("(last stream {last_stream}, ENHANCE_YOUR_CALM (0xb)); 10 streams without an answer");
    assert!(scene.evidence().contains(&end), "{}", scene.evidence());
    let advice = scene.last().verdict.advice.clone().unwrap();
    let said = "The peer sent ENHANCE_YOUR_CALM (GOAWAY): it refuses this client's pace, most often its PINGs (9 seen); a \
                keepalive must be slower than the server allows. ";
    assert!(advice.starts_with(said), "{advice}");
}

/// The same code on one stream, and the peer falls silent: whoever turns keepalive on must know that the peer refuses PINGs.
#[test]
fn a_stream_reset_with_enhance_your_calm_is_named_too() {
    let advice = |code: u32| {
        let mut scene = Scene::fixed();
        scene.busy(1_000);
        scene.c.reading.received.resets = 1;
        scene.c.reading.received.last_reset_code = code;
        stopped_server(&mut scene, 4_000);
        assert_eq!(scene.causes(), [Cause::SilentPeer]);
        scene.last().verdict.advice.clone().unwrap()
    };
    assert!(advice(0xb).starts_with("The peer sent ENHANCE_YOUR_CALM (RST_STREAM): "), "{}", advice(0xb));
    // REFUSED_STREAM is no word about PINGs.
    assert!(advice(0x7).starts_with("No PING seen in "), "{}", advice(0x7));
}
