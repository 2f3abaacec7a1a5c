//! Each fault gets its cause.

use super::stage::{Scene, cut, dead_path, ns, shut, stopped_server};
use crate::model::sample::{Goaway, Library, Process, Settings, TcpFacts, Transport};
use crate::model::snapshot::Change;
use crate::model::staged::{Staged, quiet_tcp};
use crate::verdict::{Cause, Severity, StallAfter, State};
use std::time::Duration;

#[test]
fn a_dead_path_is_a_black_hole_within_two_seconds() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.busy(5_000);
        let start = scene.c.now_ms + 250;
        cut(&mut scene, 10_000);
        assert_eq!(scene.stalled_at(), Some(start + 2_000));
        assert_eq!(scene.causes(), [Cause::BlackHole]);
        assert!(scene.evidence().contains("nothing arrived for 9.8 s"), "{}", scene.evidence());
        assert_eq!(scene.last().verdict.severity, Severity::Critical);
        let gives_up = scene.last().verdict.gives_up.clone().unwrap();
        assert!(gives_up.starts_with("RTO backoff 5 of 15: about 15 min left"), "{gives_up}");
        assert_eq!(scene.last().damage, 2 * 31);
    }
}

#[test]
fn one_stream_on_a_dead_path_is_enough() {
    let mut scene = Scene::auto();
    scene.busy(1_000);
    scene.c.open(1);
    scene.run(3_000, |c, passed| {
        c.tcp(dead_path(passed));
    });
    assert_eq!(scene.cause(), Some(Cause::BlackHole));
}

#[test]
fn a_long_round_trip_gets_its_third_expiry_and_its_round_trip() {
    // 300 ms round trip, RTO 900 ms: the third expiry is 6.3 s after the data.
    let at = |ms: u64, backoff: u8, timer_expires_ms: u32| {
        let mut scene = Scene::auto();
        scene.c.open(3);
        scene.look();
        let facts = TcpFacts {
            unacked: 3,
            backoff,
            rtt_us: 300_000,
            rttvar_us: 20_000,
            rto_us: 900_000 << backoff,
            timer: 1,
            timer_expires_ms,
            ..quiet_tcp()
        };
        scene.c.wait(ms).tcp(facts);
        scene.look();
        (scene.last().verdict.state, scene.model.deadline())
    };
    assert_eq!(at(2_700, 2, 3_600).0, State::Waiting);
    let (state, deadline) = at(6_301, 3, 7_199);
    assert_eq!(state, State::Waiting);
    assert_eq!(deadline, Some(ns(1_000 + 6_301 + 380)), "the round trip of the third");
    assert_eq!(at(6_800, 3, 6_700).0, State::Stalled);
}

/// The peer's PINGs go on arriving, nothing of ours gets there: each of them ends the silence.
#[test]
fn frames_that_arrive_do_not_hide_a_dead_way_there() {
    let mut scene = Scene::auto();
    scene.busy(2_000);
    scene.c.open(2);
    scene.run(4_000, |c, passed| {
        let facts = TcpFacts { last_ack_received_ms: 100, last_data_received_ms: 100, ..dead_path(passed) };
        c.heard().open(1).tcp(facts);
    });
    assert_eq!(scene.cause(), Some(Cause::BlackHole));
    assert!(scene.evidence().contains("what this host sends is lost"), "{}", scene.evidence());
}

#[test]
fn the_sentence_says_which_direction_has_evidence() {
    let mut scene = Scene::fixed();
    scene.c.open(2);
    scene.run(8_000, |c, passed| {
        let facts =
            TcpFacts { last_ack_received_ms: 300, last_data_received_ms: passed as u32, ..dead_path(passed) };
        c.tcp(facts);
    });
    assert_eq!(scene.cause(), Some(Cause::BlackHole));
    assert!(
        scene.evidence().contains("(the last one 0.3 s ago): what this host sends is lost"),
        "{}",
        scene.evidence()
    );
}

#[test]
fn a_stopped_server_is_a_silent_peer_after_stall_after() {
    let mut scene = Scene::fixed();
    scene.busy(5_000);
    let start = scene.c.now_ms + 250;
    stopped_server(&mut scene, 5_000);
    assert_eq!(scene.stalled_at(), Some(start + 3_000));
    assert_eq!(scene.causes(), [Cause::SilentPeer]);
    let said = scene.evidence();
    assert!(
        said.starts_with("20 streams in 4.8 s without a frame; peer ACKed 0 ms ago: the path is alive"),
        "{said}"
    );
    let advice = scene.last().verdict.advice.clone().unwrap();
    assert!(advice.starts_with("No PING seen in 10.0 s; keepalives usually wait"), "{advice}");
}

#[test]
fn auto_is_as_fast_where_a_few_seconds_of_history_are_known() {
    let mut scene = Scene::auto();
    scene.busy(3_000);
    let start = scene.c.now_ms + 250;
    stopped_server(&mut scene, 6_000);
    let after = scene.stalled_at().unwrap() - start;
    assert!((3_000..=3_500).contains(&after), "{after}");
}

#[test]
fn auto_needs_no_history_when_the_client_itself_gives_up() {
    let mut scene = Scene::auto();
    scene.run(4_000, |c, _| {
        c.open(1).abandon(1);
    });
    assert!((3_000..=3_500).contains(&(scene.stalled_at().unwrap() - 1_250)), "{:?}", scene.stalled_at());
    assert!(scene.evidence().contains("streams given up without an answer"), "{}", scene.evidence());
}

/// The damage of golang/go#63422. What was given up before the silence is not counted.
#[test]
fn streams_given_up_in_the_silence_are_counted_one_by_one() {
    let mut scene = Scene::fixed();
    scene.c.open(5).abandon(5);
    scene.look();
    scene.busy(1_000);
    scene.run(4_000, |c, passed| {
        c.open(4).tcp(quiet_tcp());
        if passed >= 1_000 {
            c.abandon(3);
        }
    });
    assert!(scene.evidence().ends_with("; 39 streams given up without an answer"), "{}", scene.evidence());
    assert_eq!(scene.last().reading.streams.abandoned, 44);
}

/// On a dead path the RST_STREAMs stay in the socket like the streams: the sentence says that neither is counted. With TLS both
/// are counted when they are written.
#[test]
fn what_is_unsent_is_not_counted_without_tls() {
    let evidence = |transport| {
        let mut scene = Scene::fixed();
        scene.c.reading.transport = transport;
        scene.c.open(2);
        scene.run(4_000, |c, passed| {
            c.tcp(TcpFacts { notsent_bytes: 700, ..dead_path(passed) });
        });
        assert_eq!(scene.causes(), [Cause::BlackHole]);
        scene.evidence().to_owned()
    };
    let unsent = "; 700 more bytes wait unsent";
    let uncounted = format!("{unsent}, what is opened or given up in them is not counted yet");
    assert!(evidence(Transport::H2c).ends_with(&uncounted), "{}", evidence(Transport::H2c));
    assert!(evidence(Transport::Tls).ends_with(unsent), "{}", evidence(Transport::Tls));
}

/// The connection is h2c, so it has no TLS library; what its process holds tells the client.
#[test]
fn what_is_known_of_the_process_reaches_the_advice() {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    stopped_server(&mut scene, 4_000);
    let mut sample = scene.c.wait(250).sample();
    sample.processes =
        vec![Process { pid: sample.readings[0].owner.pid, library: Some(Library::Go), ..Process::default() }];
    let (snapshot, _) = scene.model.observe(&sample);
    let advice = snapshot.connections[0].verdict.advice.clone().unwrap();
    assert!(advice.contains(" Go (guessed from its program): set ReadIdleTimeout"), "{advice}");
}

#[test]
fn auto_gives_a_silent_batch_two_minutes_at_most() {
    let mut scene = Scene::auto();
    scene.busy(2_000);
    scene.c.open(10);
    scene.run(125_000, |_, _| {});
    assert_eq!(scene.stalled_at().map(|at| at / 1_000), Some(123));
    assert_eq!(scene.model.stalled(), 1);
}

#[test]
fn a_server_that_never_said_anything_gets_ten_seconds() {
    let mut scene = Scene::auto();
    scene.c.reading.last_heard_ns = None;
    scene.c.open(1);
    scene.run(11_000, |_, _| {});
    assert_eq!(scene.stalled_at(), Some(11_000));
    assert!(scene.evidence().ends_with("not even the server's SETTINGS came"), "{}", scene.evidence());
}

/// Real: an upload without WINDOW_UPDATEs to a machine so busy that its window was closed now and then.
#[test]
fn a_window_that_closed_a_moment_ago_explains_nothing() {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    stopped_server(&mut scene, 4_000);
    scene.run(4_000, |c, passed| {
        let shut = passed % 1_000 == 0;
        c.reading.received.zero_window_ns = shut.then(|| ns(c.now_ms));
        let facts = TcpFacts { snd_wnd: u32::from(!shut) * 65_536, send_queue: 3_000, ..quiet_tcp() };
        c.tcp(facts);
    });
    assert_eq!(scene.causes(), [Cause::SilentPeer]);
}

#[test]
fn a_server_that_does_not_read_closes_its_window() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        let after = if matches!(scene.model.policy().stall_after, StallAfter::Auto) { 10_000 } else { 3_000 };
        scene.busy(1_000);
        let start = scene.c.now_ms;
        shut(&mut scene, 15_000);
        assert_eq!(scene.stalled_at(), Some(start + after));
        assert_eq!(scene.causes(), [Cause::PeerWindowClosed]);
        assert!(scene.evidence().contains("120000 bytes wait in the send queue"), "{}", scene.evidence());
        assert!(scene.last().verdict.gives_up.clone().unwrap().starts_with("never"));
    }
}

#[test]
fn no_window_update_is_flow_control_and_names_the_window() {
    for (granted, initial, data, text) in [
        (0, 65_535, 65_535, "the connection's flow-control window is used up: 65535 of 65535 bytes sent"),
        (
            1_000_000,
            65_535,
            131_070,
            "the stream window of 65535 bytes is used up: 131070 bytes of DATA in 2 streams",
        ),
    ] {
        let mut scene = Scene::fixed();
        scene.c.open(2);
        let settings =
            Settings { initial_window_size: initial, max_frame_size: 16_384, max_concurrent_streams: None };
        scene.c.reading.received.settings = Some(settings);
        scene.c.reading.received.window_granted = granted;
        scene.c.reading.sent.data_bytes = data;
        scene.c.reading.streams.sending = 2;
        scene.c.heard();
        scene.run(4_000, |c, _| {
            c.tcp(quiet_tcp());
        });
        assert_eq!(scene.causes(), [Cause::FlowControl]);
        assert!(scene.evidence().contains(text), "{}", scene.evidence());
        scene.c.reading.received.window_granted += 65_535;
        scene.c.reading.sent.data_bytes += 1;
        scene.look();
        assert_eq!(scene.last().verdict.state, State::Healthy);
    }
}

#[test]
fn streams_after_goaway_are_goaway_ignored() {
    let mut scene = Scene::auto();
    scene.busy(2_000);
    let highest = scene.c.reading.streams.highest;
    let at_ns = ns(scene.c.now_ms);
    scene.c.reading.received.goaway = Some(Goaway { at_ns, last_stream: highest, code: 0 });
    scene.c.heard();
    scene.run(500, |c, _| {
        c.open(1);
    });
    scene.calm();
    scene.run(2_000, |c, _| {
        c.open(1).heard();
    });
    assert_eq!(scene.causes(), [Cause::GoawayIgnored]);
    assert_eq!(scene.last().verdict.severity, Severity::Warning);
    assert!(
        scene.evidence().starts_with("10 streams opened after GOAWAY came 2.5 s ago"),
        "{}",
        scene.evidence()
    );
}

#[test]
fn bytes_that_nobody_reads_are_reader_blocked() {
    for (mut scene, after) in [(Scene::auto(), 10_000), (Scene::fixed(), 3_000)] {
        scene.busy(1_000);
        let start = scene.c.now_ms + 250;
        scene.run(after + 1_000, |c, passed| {
            c.open(1).answer(1);
            c.tcp(TcpFacts { receive_queue: 100 * passed as u32, ..quiet_tcp() });
        });
        assert_eq!(scene.stalled_at(), Some(start + after));
        assert_eq!(scene.causes(), [Cause::ReaderBlocked]);
        assert!(
            scene.evidence().contains("in this host's receive queue, none read for"),
            "{}",
            scene.evidence()
        );
        scene.c.tcp(quiet_tcp());
        scene.look();
        assert_eq!(scene.cause(), None);
    }
}

#[test]
fn without_tcp_facts_the_cause_is_unknown_and_says_so() {
    let mut scene = Scene::fixed();
    scene.c.open(2);
    scene.run(4_000, |_, _| {});
    assert_eq!(scene.causes(), [Cause::Unknown]);
    assert!(scene.evidence().contains("there are no TCP facts"), "{}", scene.evidence());
    // It sharpens as soon as there is evidence.
    scene.c.tcp(quiet_tcp());
    scene.look();
    assert_eq!(scene.causes(), [Cause::Unknown, Cause::SilentPeer]);
}

#[test]
fn records_out_and_none_in_is_a_stall_without_a_stream_count() {
    for policy in [StallAfter::Auto, StallAfter::Fixed(Duration::from_secs(3))] {
        let mut scene = Scene::new(policy, Staged::records(7, 1_000));
        scene.run(3_000, |c, _| {
            c.open(2).heard();
        });
        let start = scene.c.now_ms + 250;
        scene.run(8_000, |c, _| {
            c.open(1).tcp(quiet_tcp());
        });
        let after = scene.stalled_at().unwrap() - start;
        assert!((3_000..=5_000).contains(&after), "{policy:?} {after}");
        assert_eq!(scene.cause(), Some(Cause::SilentPeer));
        assert!(!scene.evidence().contains("stream"), "{}", scene.evidence());
        assert!(scene.evidence().contains("TLS records"), "{}", scene.evidence());
    }
}

#[test]
fn a_cause_does_not_flap_when_its_evidence_comes_and_goes() {
    let mut scene = Scene::fixed();
    scene.c.open(2);
    scene.run(600_000, |c, passed| {
        let facts = if passed % 1_000 < 500 { dead_path(passed) } else { quiet_tcp() };
        c.tcp(facts);
    });
    assert_eq!(scene.causes().len(), 1, "{:?}", scene.causes());
    // When it is gone for good, the cause changes, once.
    scene.run(60_000, |c, _| {
        c.tcp(quiet_tcp());
    });
    assert_eq!(scene.causes(), [Cause::BlackHole, Cause::SilentPeer]);
    assert_eq!(scene.last().stalls, 1);
}

#[test]
fn a_connection_that_dies_keeps_its_last_verdict() {
    let mut scene = Scene::fixed();
    scene.busy(1_000);
    stopped_server(&mut scene, 5_000);
    scene.c.wait(250).close();
    scene.look();
    let Some((_, Change::Closed(closed))) = scene.told.last() else { panic!("{:?}", scene.told.last()) };
    assert_eq!(closed.verdict.cause, Some(Cause::SilentPeer));
    assert!(closed.stalled_since_ns.is_some());
}
