//! Healthy clients: ten simulated minutes each with default settings, no stall told.

use super::stage::{Scene, ns, starve};
use crate::model::sample::{Settings, TcpFacts};
use crate::model::staged::{Staged, quiet_tcp};
use crate::verdict::{StallAfter, State};

const TEN_MINUTES: u64 = 600_000;

/// The same numbers in every run.
fn dice(seed: &mut u64, sides: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % sides
}

#[test]
fn long_polls_of_a_minute() {
    for concurrent in [1, 2, 5] {
        let mut scene = Scene::auto();
        scene.busy(10_000);
        scene.run(TEN_MINUTES, |c, passed| {
            c.tcp(quiet_tcp());
            if passed % 60_250 == 250 {
                c.answer(concurrent).open(concurrent);
            }
        });
        scene.calm();
    }
}

#[test]
fn a_long_poll_with_keepalive_pings() {
    let mut scene = Scene::auto();
    scene.run(TEN_MINUTES, |c, passed| {
        if passed % 60_250 == 250 {
            c.answer(2).open(2);
        }
        if passed % 10_000 == 0 {
            c.ping_ack();
        }
    });
    scene.calm();
}

#[test]
fn events_and_quiet_streams_that_had_their_headers() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.c.open(20).begin(20);
        scene.run(TEN_MINUTES, |c, passed| {
            if passed % 120_000 == 0 {
                c.heard();
            }
        });
        scene.calm();
        assert_eq!(scene.last().verdict.state, State::Healthy);
    }
}

/// Every sentence with a number of streams in flight says so when frames that end a stream may have been missed.
#[test]
fn a_number_that_may_be_off_is_told_as_such() {
    let mut healthy = Scene::fixed();
    healthy.c.open(20).begin(20);
    let mut starved = Scene::auto();
    starve(&mut starved, 20_000);
    for scene in [&mut healthy, &mut starved] {
        scene.look();
        let exact = scene.evidence().to_owned();
        assert!(exact.contains(" in flight") && !exact.contains("about"), "{exact}");
        scene.c.reading.streams.approximate = true;
        scene.look();
        let about = format!("about {}", exact.split(" in flight").next().unwrap());
        assert!(scene.evidence().starts_with(&about), "{}", scene.evidence());
    }
}

#[test]
fn a_slow_server_under_load() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.run(TEN_MINUTES, |c, passed| {
            c.tcp(quiet_tcp());
            if passed % 2_250 == 250 {
                c.answer(8).open(8);
            }
        });
        scene.calm();
    }
}

/// Four workers; each asks, waits for 20 to 60 s for the first byte, and asks again. Nothing else comes from the peer.
fn language_model(scene: &mut Scene, staggered: bool, pings: bool) {
    let mut seed = 42;
    let mut due: Vec<Option<u64>> = vec![None; 4];
    scene.run(TEN_MINUTES, |c, passed| {
        c.tcp(quiet_tcp());
        if pings && passed % 15_000 == 0 {
            c.ping_ack();
        }
        for (i, due) in due.iter_mut().enumerate() {
            let begun = !staggered || passed >= 1_000 * i as u64;
            if due.is_some_and(|at| passed >= at) {
                c.answer(1);
                *due = None;
            }
            if due.is_none() && begun {
                c.open(1);
                *due = Some(passed + 20_000 + dice(&mut seed, 40_000));
            }
        }
    });
}

#[test]
fn a_language_model_with_four_workers() {
    for staggered in [false, true] {
        for pings in [false, true] {
            let mut scene = Scene::auto();
            language_model(&mut scene, staggered, pings);
            scene.calm();
            // Also after a long history of quick answers.
            let mut scene = Scene::auto();
            scene.busy(20_000);
            language_model(&mut scene, staggered, pings);
            scene.calm();
        }
    }
}

#[test]
fn a_thousand_streams_at_once() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.run(TEN_MINUTES, |c, passed| match passed % 10_000 {
            250 => {
                c.open(1_000);
            }
            2_500 => {
                c.answer(1_000);
            }
            _ => {}
        });
        scene.calm();
    }
}

#[test]
fn a_link_that_flaps_for_a_second() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.run(TEN_MINUTES, |c, passed| {
            // Down from 0 to 1 s of every 20 s; the retransmission at 1.4 s gets through.
            let phase = passed % 20_000;
            c.open(1);
            if phase < 1_500 {
                let backoff = [0, 1, 2, 2, 2, 3][(phase / 250) as usize];
                let facts = TcpFacts { unacked: 4, backoff, rto_us: 200_000 << backoff, ..quiet_tcp() };
                c.tcp(facts);
            } else {
                c.answer(1).tcp(quiet_tcp());
            }
        });
        scene.calm();
    }
}

#[test]
fn loss_and_a_long_round_trip() {
    let mut seed = 7;
    for mut scene in [Scene::auto(), Scene::fixed()] {
        let mut due = 0;
        let mut waiting = false;
        scene.run(TEN_MINUTES, |c, passed| {
            if waiting && passed >= due {
                c.answer(2).tcp(quiet_tcp());
                waiting = false;
            }
            if !waiting {
                c.open(2);
                waiting = true;
                // One round trip; each loss (1 in 10 there and back) adds a doubled RTO of 0.6 s.
                let (mut wait, mut rto) = (300, 600);
                while dice(&mut seed, 10) == 0 && rto < 2_000 {
                    wait += rto;
                    rto *= 2;
                }
                due = passed + wait;
            } else {
                let backoff = 1;
                c.tcp(TcpFacts { unacked: 1, backoff, rtt_us: 300_000, rto_us: 1_200_000, ..quiet_tcp() });
            }
        });
        scene.calm();
    }
}

#[test]
fn a_laptop_that_is_paused() {
    let mut scene = Scene::auto();
    scene.busy(10_000);
    for _ in 0..10 {
        // Both sides stop in the middle of an exchange; one answer is already in the receive queue.
        scene.c.open(6).tcp(TcpFacts { receive_queue: 500, ..quiet_tcp() });
        scene.run(60_000, |_, _| {});
        // The client wakes up first.
        scene.c.open(6);
        scene.look();
        scene.c.answer(12).tcp(quiet_tcp());
        scene.busy(2_000);
    }
    scene.calm();
}

#[test]
fn an_idle_connection_is_idle() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.busy(2_000).run(TEN_MINUTES, |_, _| {});
        scene.calm();
        assert_eq!(scene.last().verdict.state, State::Idle);
        assert_eq!(scene.model.deadline(), None);
        assert!(!scene.model.suspects().includes(&scene.c.reading, ns(scene.c.now_ms)));
    }
}

#[test]
fn with_records_a_window_update_before_an_idle_time_is_no_question() {
    let policies = [StallAfter::Auto, StallAfter::Fixed(std::time::Duration::from_secs(3))];
    for policy in policies {
        let mut scene = Scene::new(policy, Staged::records(7, 1_000));
        scene.run(TEN_MINUTES, |c, passed| match passed % 20_000 {
            250 => {
                // A request, its response, and a WINDOW_UPDATE that nothing follows.
                c.open(1).heard().open(1);
            }
            // A request that is under way when the sample is taken.
            15_000 => {
                c.open(1);
            }
            15_250 => {
                c.heard().open(1);
            }
            _ => {}
        });
        scene.calm();
    }
}

#[test]
fn with_records_one_slow_request_is_no_stall() {
    let mut scene =
        Scene::new(StallAfter::Fixed(std::time::Duration::from_secs(3)), Staged::records(7, 1_000));
    scene.c.open(2);
    scene.run(20_000, |_, _| {});
    scene.calm();
}

#[test]
fn a_large_frame_that_is_still_coming_is_a_sign_of_life() {
    let mut scene = Scene::fixed();
    scene.c.open(3);
    scene.run(20_000, |c, _| {
        c.reading.received.last_data_ns = Some(c.now_ms * 1_000_000);
    });
    scene.calm();
    scene.run(3_250, |_, _| {});
    assert_eq!(scene.last().verdict.state, State::Stalled, "until it stops");
}

#[test]
fn one_stream_is_no_evidence_by_the_clock() {
    for mut scene in [Scene::auto(), Scene::fixed()] {
        scene.busy(2_000);
        scene.c.open(1).tcp(quiet_tcp());
        scene.run(TEN_MINUTES, |_, _| {});
        scene.calm();
    }
}

#[test]
fn an_upload_of_exactly_one_window_that_waits_for_its_answer() {
    let mut scene = Scene::auto();
    scene.c.open(2).heard();
    let settings =
        Settings { initial_window_size: 1 << 20, max_frame_size: 16_384, max_concurrent_streams: None };
    scene.c.reading.received.settings = Some(settings);
    scene.c.reading.received.window_granted = 1 << 24;
    scene.c.reading.sent.data_bytes = 1 << 20;
    scene.run(60_000, |c, _| {
        c.tcp(quiet_tcp());
    });
    scene.calm();
}
