//! Any split of any byte string gives the same result as the unsplit one.

use proptest::prelude::*;

use crate::script::{PREFACE, Wire, cases, count, frame};
use crate::values::{noted, told};
use probe_common::slot::Slot;
use probe_common::walk::{RECEIVED, SENT};

/// Everything that must not depend on how the bytes were cut. Times and segment counts do.
fn result(slot: &Slot) -> impl PartialEq + std::fmt::Debug {
    let c = &slot.connection;
    let census = c.streams.census(c.highest_stream, 0);
    let direction = |d: &probe_common::direction::Direction| {
        (
            (d.frames, d.data_bytes, d.window_granted, d.resets, d.abandoned, d.ping_acks),
            (d.goaway_last_stream, d.goaway_code, d.last_reset_code),
            (d.initial_window_size, d.max_frame_size, d.max_concurrent_streams, d.settings_seen),
            (d.bytes, d.desyncs, d.records, d.record_bytes),
        )
    };
    (direction(&c.sent), direction(&c.received), c.streams_opened, c.highest_stream, c.transport, census)
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = proptest::collection::vec(any::<u8>(), 0..80);
    let stream = (0u32..40).prop_map(|n| 2 * n + 1);
    prop_oneof![
        (stream.clone(), payload.clone(), any::<bool>()).prop_map(|(s, p, end)| frame(
            0,
            u8::from(end),
            s,
            &p
        )),
        (stream.clone(), payload.clone(), any::<bool>()).prop_map(|(s, p, end)| frame(
            1,
            4 | u8::from(end),
            s,
            &p
        )),
        (stream.clone(), any::<u32>()).prop_map(|(s, code)| frame(3, 0, s, &code.to_be_bytes())),
        proptest::collection::vec((1u16..7, any::<u32>()), 0..6).prop_map(|entries| {
            let body: Vec<u8> = entries
                .iter()
                .flat_map(|(id, v)| [&id.to_be_bytes()[..], &v.to_be_bytes()[..]].concat())
                .collect();
            frame(4, 0, 0, &body)
        }),
        Just(frame(4, 1, 0, &[])),
        any::<(u64, bool)>().prop_map(|(data, ack)| frame(6, u8::from(ack), 0, &data.to_be_bytes())),
        (stream.clone(), any::<u32>(), payload.clone()).prop_map(|(s, code, debug)| {
            frame(7, 0, 0, &[&s.to_be_bytes()[..], &code.to_be_bytes()[..], &debug[..]].concat())
        }),
        (prop_oneof![Just(0u32), stream.clone()], 1u32..0x7fff_ffff).prop_map(|(s, n)| frame(
            8,
            0,
            s,
            &n.to_be_bytes()
        )),
        (stream.clone(), any::<[u8; 5]>()).prop_map(|(s, priority)| frame(2, 0, s, &priority)),
        (stream.clone(), payload.clone()).prop_map(|(s, p)| frame(5, 4, s, &p)),
        (stream, payload.clone()).prop_map(|(s, p)| frame(9, 4, s, &p)),
        (10u8..=255, any::<u8>(), payload).prop_map(|(kind, flags, p)| frame(kind, flags, 7, &p)),
    ]
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any_frame(), 0..60).prop_map(|frames| frames.concat())
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1usize..60, 1..40)
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn frames_are_the_same_however_they_are_cut(sent in frames(), received in frames(), cuts in cuts(), seq in any::<u32>()) {
        let client = [PREFACE, &sent].concat();
        let mut whole = Wire::new(seq);
        let mut cut = Wire::new(seq);
        whole.deliver_cut(SENT, seq, &client, &[]);
        whole.deliver_cut(RECEIVED, seq, &received, &[]);
        cut.deliver_cut(SENT, seq, &client, &cuts);
        cut.deliver_cut(RECEIVED, seq, &received, &cuts);
        prop_assert_eq!(result(&whole.slot), result(&cut.slot));
        prop_assert_eq!(cut.slot.connection.sent.frames, count(&sent));
        prop_assert_eq!(cut.slot.connection.received.frames, count(&received));
        prop_assert_eq!(noted(&cut.slot.connection.sent), told(&sent));
        prop_assert_eq!(noted(&cut.slot.connection.received), told(&received));
        prop_assert_eq!(cut.slot.connection.sent.desyncs + cut.slot.connection.received.desyncs, 0);
    }

    // Bytes that break the protocol put the walker out of step, where the place of the cuts may decide what is believed next;
    // up to that point, and for bytes that are foreign from the start, cuts change nothing. It must end, whatever comes.
    #[test]
    fn any_bytes_are_the_same_until_they_break_the_protocol(bytes in proptest::collection::vec(any::<u8>(), 0..600), cuts in cuts()) {
        for prefix in [PREFACE, &[]] {
            let bytes = [prefix, &bytes].concat();
            let mut whole = Wire::new(0);
            let mut cut = Wire::new(0);
            whole.deliver_cut(SENT, 0, &bytes, &[]);
            cut.deliver_cut(SENT, 0, &bytes, &cuts);
            prop_assert_eq!(whole.slot.connection.transport, cut.slot.connection.transport);
            if whole.slot.connection.sent.desyncs == 0 {
                prop_assert_eq!(result(&whole.slot), result(&cut.slot));
            } else {
                prop_assert!(cut.slot.connection.sent.desyncs > 0);
            }
        }
    }
}

#[test]
fn a_frame_of_the_greatest_length_is_passed_over() {
    let body = vec![0u8; (1 << 24) - 1];
    let bytes = [PREFACE, &frame(1, 4, 1, b"h"), &frame(0, 1, 1, &body), &frame(6, 0, 0, &[0; 8])].concat();
    let mut wire = Wire::new(u32::MAX - 100);
    wire.deliver_cut(SENT, u32::MAX - 100, &bytes, &[65_000, 1448, 3]);
    let sent = &wire.slot.connection.sent;
    assert_eq!((sent.frames[0], sent.frames[1], sent.frames[6], sent.desyncs), (1, 1, 1, 0));
    assert_eq!(sent.data_bytes, (1 << 24) - 1);
    assert_eq!(sent.bytes, bytes.len() as u64);
}

/// What is kept between two pieces is the protocol's own: no byte of a header block or a body, whether in step or searching.
#[test]
fn no_byte_of_a_payload_is_kept() {
    use probe_common::slot::ORIGIN_SEEDED;
    const PAYLOAD: u8 = 0xaa;
    let payload = [PAYLOAD; 200];
    let frames = [
        frame(4, 0, 0, &[0, 4, 0, 1, 0, 0]),
        frame(1, 4, 1, &payload[..30]),
        frame(0, 0, 1, &payload),
        frame(3, 0, 1, &[0, 0, 0, 8]),
        frame(7, 0, 0, &[&[0, 0, 0, 1, 0, 0, 0, 0][..], &payload[..20]].concat()),
        frame(0xbb, 0, 1, &payload[..9]),
        frame(0, 1, 1, &payload),
    ];
    let record = |kind: u8, n: u8| [&[kind, 3, 3, 0, n][..], &payload[..n.into()]].concat();
    let streams = [
        [PREFACE, &frames.concat()].concat(),
        [record(22, 90), record(23, 120), record(23, 40)].concat(),
        [&b"GET"[..], &payload].concat(),
    ];
    let kept = |slot: &Slot| {
        let lanes = slot.sent_lanes.lanes.iter().chain(&slot.received_lanes.lanes);
        lanes.flat_map(|lane| lane.unit).filter(|&byte| byte == PAYLOAD).count()
    };
    for (stream, size) in streams.iter().flat_map(|stream| (1..60).map(move |size| (stream, size))) {
        let mut wire = Wire::new(0);
        let mut late = Wire::new(0);
        late.slot.prepare(ORIGIN_SEEDED);
        for (i, piece) in stream.chunks(size).enumerate() {
            let at = u32::try_from(i * size).unwrap();
            wire.deliver(SENT, at, piece, 0);
            assert_eq!(kept(&wire.slot), 0, "pieces of {size}, {i}");
            // Joined in the middle of the first payload.
            if i * size > 40 {
                late.deliver(SENT, at, piece, 0);
                assert_eq!(kept(&late.slot), 0, "pieces of {size}, {i}, joined late");
            }
        }
    }
}
