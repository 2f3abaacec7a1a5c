//! What PINGs, their answers and ENHANCE_YOUR_CALM say: whether the peer's HTTP/2 layer is alive while no stream is answered.

use super::stage::{Scene, dead_path, hung, ns, stopped_server};
use crate::model::sample::{Goaway, TcpFacts, Transport};
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

fn advice(scene: &Scene) -> &str {
    scene.last().verdict.advice.as_deref().unwrap()
}

/// Go's ReadIdleTimeout of 15 s sends none in the first seconds of a silence, and is on.
#[test]
fn keepalive_appears_off_after_a_silence_in_which_one_was_due() {
    let mut scene = Scene::fixed();
    scene.busy(5_000);
    stopped_server(&mut scene, 4_000);
    let early = "No PING seen in 9.0 s; keepalives usually wait for 10 to 30 s. Turn on its";
    assert!(advice(&scene).starts_with(early), "{}", advice(&scene));
    stopped_server(&mut scene, 26_250);
    let late =
        "No PING seen in 35.2 s, 30.2 s of them in silence: the client's keepalive appears off. Turn on its";
    assert!(advice(&scene).starts_with(late), "{}", advice(&scene));
}

/// A peer that goes on sending gets no PING from a client whose keepalive waits for silence.
#[test]
fn a_long_life_without_silence_says_nothing_about_keepalive() {
    let mut scene = Scene::fixed();
    scene.busy(60_000);
    stopped_server(&mut scene, 4_000);
    assert!(
        advice(&scene).starts_with("No PING seen in 64.0 s; keepalives usually wait"),
        "{}",
        advice(&scene)
    );
}

/// Without TLS a PING is seen when it leaves, with TLS when it is written.
#[test]
fn a_ping_may_be_among_unsent_bytes() {
    for (transport, said) in [
        (
            Transport::H2c,
            "No PING seen in 36.0 s, but 3000 bytes are unsent, and one may be among them. Turn on its",
        ),
        (
            Transport::Tls,
            "No PING seen in 36.0 s, 35.0 s of them in silence: the client's keepalive appears off. Turn on",
        ),
    ] {
        let mut scene = Scene::fixed();
        scene.c.reading.transport = transport;
        scene.busy(1_000);
        scene.run(35_000, |c, passed| {
            c.open(1).tcp(TcpFacts { notsent_bytes: 3_000, ..dead_path(passed) });
        });
        assert_eq!(scene.causes(), [Cause::BlackHole]);
        assert!(advice(&scene).starts_with(said), "{}", advice(&scene));
    }
}

#[test]
fn a_ping_that_was_seen_is_counted_and_what_holds_the_next_one_back_is_said() {
    for (notsent_bytes, said) in [
        (0, "2 PINGs seen, the last one 4.0 s ago. "),
        (
            900,
            "2 PINGs seen, the last one 4.0 s ago; 900 bytes are unsent and hold back what comes after them. ",
        ),
    ] {
        let mut scene = Scene::fixed();
        scene.busy(1_000);
        scene.c.reading.sent.pings = 2;
        scene.c.reading.sent.last_ping_ns = Some(ns(scene.c.now_ms));
        scene.run(4_000, |c, passed| {
            c.open(1).tcp(TcpFacts { notsent_bytes, ..dead_path(passed) });
        });
        assert!(advice(&scene).starts_with(said), "{}", advice(&scene));
    }
}

/// A client that sends a PING each 250 ms always has a young one on its way.
#[test]
fn pings_on_a_short_timer_are_unanswered_all_the_same() {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    scene.run(4_000, |c, _| {
        c.open(1).tcp(TcpFacts { last_ack_received_ms: 20, ..quiet_tcp() });
        c.reading.sent.pings += 1;
        c.reading.sent.last_ping_ns = Some(ns(c.now_ms));
    });
    assert_eq!(scene.causes(), [Cause::SilentPeer]);
    let said = "; 16 PINGs unanswered, nothing came for 4.0 s";
    assert!(scene.evidence().ends_with(said), "{}", scene.evidence());
}

/// With TLS a PING that was written may not have left; without, it was seen on its way.
#[test]
fn an_unanswered_ping_may_wait_behind_unsent_bytes() {
    for (transport, said) in [
        (Transport::H2c, "; PING unanswered for 3.5 s"),
        (Transport::Tls, "; PING unanswered for 3.5 s (it may still wait behind 3000 unsent bytes)"),
    ] {
        let mut scene = Scene::fixed();
        scene.c.reading.transport = transport;
        scene.busy(1_000);
        scene.run(4_000, |c, passed| {
            if passed == 500 {
                c.reading.sent.pings += 1;
                c.reading.sent.last_ping_ns = Some(ns(c.now_ms));
            }
            c.open(1).tcp(TcpFacts { notsent_bytes: 3_000, ..dead_path(passed) });
        });
        assert!(scene.evidence().ends_with(said), "{}", scene.evidence());
    }
}
