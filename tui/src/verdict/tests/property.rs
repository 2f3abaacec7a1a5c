//! Whatever happens: no panic, a cause exactly when stalled, a deadline in the future, causes that settle.

use super::stage::{Scene, ns};
use crate::model::sample::{Goaway, TcpFacts};
use crate::model::staged::{Staged, quiet_tcp};
use crate::verdict::{StallAfter, State};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(u64),
    Open(u64),
    Answer(u64),
    Heard,
    PingAck,
    Abandon(u64),
    Facts(TcpFacts),
    NoFacts,
    Goaway(u32),
    ZeroWindow(bool),
    Data(u64),
    Resyncing(bool),
    Absurd(u64),
}

fn facts() -> impl Strategy<Value = TcpFacts> {
    (any::<[u8; 4]>(), any::<[u32; 6]>(), 0..3_u32).prop_map(|(small, large, tame)| {
        let shift = if tame > 0 { 16 } else { 0 };
        TcpFacts {
            unacked: large[0] >> shift >> 12,
            backoff: small[0] >> (tame * 3),
            rto_us: large[1],
            timer: small[1] % 5,
            timer_expires_ms: large[2] >> shift,
            receive_queue: if small[2] > 128 { large[3] } else { 0 },
            snd_wnd: if small[3] > 64 { large[4] } else { 0 },
            notsent_bytes: large[5] >> shift,
            ..quiet_tcp()
        }
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..20_000_u64).prop_map(Act::Wait),
        4 => (1..50_u64).prop_map(Act::Open),
        2 => (1..50_u64).prop_map(Act::Answer),
        1 => Just(Act::Heard),
        1 => Just(Act::PingAck),
        2 => (1..50_u64).prop_map(Act::Abandon),
        3 => facts().prop_map(Act::Facts),
        1 => Just(Act::NoFacts),
        1 => any::<u32>().prop_map(Act::Goaway),
        1 => any::<bool>().prop_map(Act::ZeroWindow),
        1 => (0..200_000_u64).prop_map(Act::Data),
        1 => any::<bool>().prop_map(Act::Resyncing),
        1 => any::<u64>().prop_map(Act::Absurd),
    ]
}

fn perform(c: &mut Staged, act: Act) {
    let now = ns(c.now_ms);
    match act {
        Act::Wait(ms) => drop(c.wait(ms)),
        Act::Open(n) => drop(c.open(n)),
        Act::Answer(n) => drop(c.answer(n)),
        Act::Heard => drop(c.heard()),
        Act::PingAck => drop(c.ping_ack()),
        Act::Abandon(n) => drop(c.abandon(n)),
        Act::Facts(facts) => drop(c.tcp(facts)),
        Act::NoFacts => c.reading.tcp = None,
        Act::Goaway(last_stream) => {
            c.reading.received.goaway = Some(Goaway { at_ns: now, last_stream, code: 0 });
        }
        Act::ZeroWindow(ours) => {
            let traffic = if ours { &mut c.reading.sent } else { &mut c.reading.received };
            traffic.zero_window_ns = if traffic.zero_window_ns.is_some() { None } else { Some(now) };
        }
        Act::Data(n) => {
            c.reading.sent.data_bytes += n;
            c.reading.streams.sending = c.reading.streams.in_flight;
        }
        Act::Resyncing(on) => c.reading.received.resyncing = on,
        // Times from a torn read: before the beginning or far in the future.
        Act::Absurd(at) => {
            c.reading.first_unanswered_ns = Some(at);
            c.reading.last_heard_ns = Some(at.rotate_left(7));
            c.reading.received.last_data_ns = Some(at.rotate_left(20));
            c.reading.sent.zero_window_ns = Some(at.rotate_left(33));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_hold_their_promises(acts in prop::collection::vec(act(), 1..80), auto: bool, records: bool) {
        let policy = if auto { StallAfter::Auto } else { StallAfter::Fixed(Duration::from_secs(3)) };
        let c = if records { Staged::records(7, 1_000) } else { Staged::h2c(7, 1_000) };
        let mut scene = Scene::new(policy, c);
        for act in acts {
            perform(&mut scene.c, act);
            scene.look();
            let verdict = &scene.last().verdict;
            prop_assert_eq!(verdict.cause.is_some(), verdict.state == State::Stalled);
            prop_assert_eq!(verdict.cause.is_some(), verdict.severity != crate::verdict::Severity::None);
            prop_assert!(!verdict.evidence.is_empty());
            if records {
                prop_assert!(!verdict.evidence.contains("stream"), "{}", verdict.evidence);
            }
            if let Some(at) = scene.model.deadline() {
                prop_assert!(at > ns(scene.c.now_ms));
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// With the peer silent, evidence that changes at random moves the cause at most a few times in ten minutes.
    #[test]
    fn causes_settle(seeds in prop::collection::vec(facts(), 40)) {
        let mut scene = Scene::fixed();
        scene.c.open(5);
        let mut next = seeds.iter().cycle();
        scene.run(600_000, |c, passed| {
            if passed % 500 == 0 {
                c.reading.tcp = next.next().copied();
            }
        });
        // At most one step per rule upwards, and downwards ever more slowly.
        prop_assert!(scene.causes().len() <= 14, "{:?}", scene.causes());
    }
}
