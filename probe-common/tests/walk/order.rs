//! TCP delivers segments twice, late and in any order; frames are counted once, or it is said that they were not.

use proptest::prelude::*;

use crate::script::{PREFACE, Wire, cases, count, frame};
use probe_common::direction::{Segment, TCP_ACK};
use probe_common::walk::{RECEIVED, SENT};

/// Responses: `n` streams of HEADERS and DATA with payloads of `size` bytes, ending with PINGs.
fn responses(n: u32, size: usize) -> Vec<u8> {
    let mut bytes = frame(4, 0, 0, &[]);
    for i in 0..n {
        let stream = 2 * i + 1;
        // Bodies that look nothing like frames.
        let body: Vec<u8> = (0..size).map(|k| (k as u8).wrapping_mul(37) | 0x80).collect();
        bytes.extend(frame(1, 4, stream, &[0x88; 5]));
        bytes.extend(frame(0, 1, stream, &body));
    }
    bytes.extend(frame(6, 1, 0, &[0; 8]));
    bytes
}

fn requests(n: u32) -> Vec<u8> {
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
    (0..n).for_each(|i| bytes.extend(frame(1, 5, 2 * i + 1, &[0x82; 11])));
    bytes
}

/// Segments of `bytes` as (offset, length).
fn cut(len: usize, size: usize) -> Vec<(usize, usize)> {
    (0..len).step_by(size).map(|at| (at, size.min(len - at))).collect()
}

fn wire_with_streams(n: u32, seq: u32) -> Wire {
    let mut wire = Wire::new(seq);
    wire.deliver_cut(SENT, seq, &requests(n), &[]);
    assert_eq!(wire.slot.connection.streams_opened, u64::from(n));
    wire
}

fn deliver(wire: &mut Wire, seq: u32, bytes: &[u8], (at, len): (usize, usize)) {
    wire.deliver(RECEIVED, seq.wrapping_add(u32::try_from(at).unwrap()), &bytes[at..at + len], 0);
}

#[test]
fn a_lost_segment_that_comes_again_leaves_nothing_uncounted() {
    let bytes = responses(60, 100);
    for lost in 1..20 {
        let mut wire = wire_with_streams(60, 7);
        let segments = cut(bytes.len(), 300);
        for (i, &segment) in segments.iter().enumerate() {
            if i != lost {
                deliver(&mut wire, 7, &bytes, segment);
            }
            if i == lost + 4 {
                deliver(&mut wire, 7, &bytes, segments[lost]);
            }
        }
        let (c, lanes) = (&wire.slot.connection, &wire.slot.received_lanes);
        assert_eq!(lanes.holes, 1, "segment {lost}");
        if lanes.missed == 0 {
            assert_eq!(c.received.frames, count(&bytes), "segment {lost}");
            assert_eq!(c.streams.census(c.highest_stream, 0).in_flight, 0, "segment {lost}");
        } else {
            assert!(c.received.gap_pending == 1 && c.received.horizon > 0, "segment {lost}");
        }
    }
}

#[test]
fn most_holes_heal_exactly() {
    let bytes = responses(200, 100);
    let (mut exact, mut all) = (0, 0);
    for lost in 1..60 {
        let mut wire = wire_with_streams(200, 0);
        let segments = cut(bytes.len(), 290);
        for (i, &segment) in segments.iter().enumerate() {
            if i != lost {
                deliver(&mut wire, 0, &bytes, segment);
            }
            if i == lost + 7 {
                deliver(&mut wire, 0, &bytes, segments[lost]);
            }
        }
        all += 1;
        exact += u32::from(wire.slot.received_lanes.missed == 0);
    }
    // What is missed is a header that the edge of the hole cuts in two: 9 of 119 bytes here.
    assert!(exact * 100 >= all * 85, "{exact} of {all}");
}

proptest! {
    #![proptest_config(cases(256))]

    // Segments in any order, some twice: never more frames than there are, all of them unless something was missed, and the
    // stream is walked to its end.
    #[test]
    fn never_counted_twice(
        order in Just((0usize..40).collect::<Vec<_>>()).prop_shuffle(),
        again in proptest::collection::vec(0usize..40, 0..20),
        size in 50usize..400,
        window in 1usize..12,
        seq in any::<u32>(),
    ) {
        let bytes = responses(50, 90);
        let mut wire = wire_with_streams(50, seq);
        let segments = cut(bytes.len(), size);
        // A shuffle within a window, as a network does.
        let mut sequence: Vec<usize> = (0..segments.len()).collect();
        for chunk in sequence.chunks_mut(window) {
            let key = |i: &usize| order.iter().position(|o| *o == i % 40);
            chunk.sort_by_key(key);
        }
        for (n, &i) in sequence.iter().enumerate() {
            deliver(&mut wire, seq, &bytes, segments[i]);
            if let Some(&repeat) = again.get(n) {
                // Something that was sent before, sent again.
                let earlier = sequence[repeat % (n + 1)];
                deliver(&mut wire, seq, &bytes, segments[earlier]);
            }
        }
        let (c, lanes) = (&wire.slot.connection, &wire.slot.received_lanes);
        let expected = count(&bytes);
        for (kind, (&got, &want)) in c.received.frames.iter().zip(&expected).enumerate() {
            prop_assert!(got <= want, "type {kind}: {got} of {want}");
        }
        if lanes.missed == 0 && lanes.holes_abandoned == 0 && c.received.desyncs == 0 {
            prop_assert_eq!(c.received.frames, expected);
        }
        prop_assert_eq!(lanes.islands, 0);
        prop_assert_eq!(lanes.lanes[0].next, seq.wrapping_add(u32::try_from(bytes.len()).unwrap()));
        prop_assert_eq!(c.received.bytes, bytes.len() as u64);
    }
}

proptest! {
    #![proptest_config(cases(256))]

    // Retransmissions that are cut in another way than what was lost, over islands and into the next hole. When the receiver has
    // everything and the sender goes on, what is in flight is exact or marked, and no frame is missed without a hole that says so.
    #[test]
    fn retransmissions_of_any_length(
        lost in proptest::collection::vec(proptest::bool::weighted(0.1), 60),
        again in proptest::collection::vec((1usize..4000, 1usize..12), 200),
        size in prop_oneof![Just(1448usize), 200usize..1448],
        body in prop_oneof![Just(1000usize), 90usize..3000],
    ) {
        let mut bytes = responses(50, body);
        let mut wire = wire_with_streams(50, 0);
        let mut arrived = vec![false; bytes.len()];
        let mut again = again.into_iter();
        for (i, (at, len)) in cut(bytes.len(), size).into_iter().enumerate() {
            if i == 0 || !lost[i % lost.len()] {
                deliver(&mut wire, 0, &bytes, (at, len));
                arrived[at..at + len].fill(true);
            }
            let Some((n, every)) = again.next() else { continue };
            let hole = arrived[..at].iter().position(|arrived| !arrived);
            if let Some(hole) = hole.filter(|_| i % every == 0) {
                let n = n.min(bytes.len() - hole);
                deliver(&mut wire, 0, &bytes, (hole, n));
                arrived[hole..hole + n].fill(true);
            }
        }
        while let Some(hole) = arrived.iter().position(|arrived| !arrived) {
            let n = again.next().map_or(size, |(n, _)| n).min(bytes.len() - hole);
            deliver(&mut wire, 0, &bytes, (hole, n));
            arrived[hole..hole + n].fill(true);
        }
        for _ in 0..3 {
            let end = u32::try_from(bytes.len()).unwrap();
            wire.acknowledge(SENT, Segment { ack: end, flags: TCP_ACK, ..Segment::default() });
            let ping = frame(6, 1, 0, &[0; 8]);
            wire.deliver(RECEIVED, end, &ping, 0);
            bytes.extend(ping);
        }
        let (c, lanes) = (&wire.slot.connection, &wire.slot.received_lanes);
        prop_assert_eq!(lanes.islands, 0);
        if lanes.missed == 0 && lanes.holes_abandoned == 0 && c.received.desyncs == 0 {
            prop_assert_eq!(c.received.frames, count(&bytes));
        }
        let census = c.streams.census(c.highest_stream, c.received.horizon);
        prop_assert!(census.doubtful > 0 || census.in_flight == 0, "{:?}", census);
    }
}

#[test]
fn overlapping_retransmissions_are_counted_once() {
    let bytes = responses(30, 64);
    let mut wire = wire_with_streams(30, u32::MAX - 500);
    let seq = u32::MAX - 500;
    for at in (0..bytes.len()).step_by(100) {
        // Each segment repeats up to 150 bytes of the one before.
        let from = at.saturating_sub(150);
        deliver(&mut wire, seq, &bytes, (from, (at + 100).min(bytes.len()) - from));
    }
    assert_eq!(wire.slot.connection.received.frames, count(&bytes));
    assert_eq!(wire.slot.received_lanes.holes, 0);
}

#[test]
fn attached_in_the_middle_it_finds_its_step_and_counts_from_there() {
    use probe_common::slot::{ORIGIN_SEEDED, TRANSPORT_H2C};
    let bytes = responses(100, 700);
    for from in (1..5000).step_by(37) {
        let mut wire = Wire { slot: Box::default(), now_ns: 1 };
        wire.slot.prepare(ORIGIN_SEEDED);
        for segment in cut(bytes.len(), 1448).into_iter().filter(|&(at, _)| at >= 1448) {
            let (at, len) = (segment.0 + from % 1448, segment.1);
            if at + len <= bytes.len() {
                deliver(&mut wire, 0, &bytes, (at, len));
            }
        }
        let c = &wire.slot.connection;
        assert_eq!(c.transport, TRANSPORT_H2C, "from {from}");
        assert_eq!(c.received.resyncs, 1, "from {from}");
        assert_eq!(c.received.desyncs, 0, "from {from}");
        // One frame at most lies before the first header.
        let all = 2 * 100 + 2;
        let seen: u64 = c.received.frames.iter().sum();
        let before = u64::try_from((1448 + from % 1448) / 723 * 2 + 3).unwrap();
        assert!(seen + before + 4 >= all && seen < all, "from {from}: {seen} of {all}");
    }
}

#[test]
fn a_gap_in_what_is_sent_is_bridged_by_the_stream_identifiers() {
    let bytes = requests(120);
    let mut wire = Wire::new(0);
    let segments = cut(bytes.len(), 200);
    for (i, &(at, len)) in segments.iter().enumerate() {
        // Five holes at once: more than there are lanes.
        if ![2, 4, 6, 8, 10].contains(&i) {
            wire.deliver(SENT, u32::try_from(at).unwrap(), &bytes[at..at + len], 0);
        }
    }
    let c = &wire.slot.connection;
    assert_eq!(c.streams_opened, 120);
    assert!(wire.slot.sent_lanes.holes_abandoned > 0);
}

#[test]
fn a_hole_that_the_receiver_does_not_have_is_given_up() {
    let bytes = responses(60, 100);
    let mut wire = wire_with_streams(60, 7);
    let segments = cut(bytes.len(), 300);
    for (i, &segment) in segments.iter().enumerate() {
        // Two processors at once: one segment was never walked, and never comes again.
        if i != 5 {
            deliver(&mut wire, 7, &bytes, segment);
        }
        if i == 8 {
            assert_eq!(wire.slot.received_lanes.islands, 1);
            let ack = 7 + u32::try_from(segment.0).unwrap();
            wire.acknowledge(probe_common::walk::SENT, Segment { ack, flags: TCP_ACK, ..Segment::default() });
        }
    }
    let (c, lanes) = (&wire.slot.connection, &wire.slot.received_lanes);
    assert_eq!((lanes.islands, lanes.holes_abandoned), (0, 1));
    assert!(c.received.horizon > 0 && c.received.missed_ns > 0);
    assert_eq!(lanes.lanes[0].next, 7 + u32::try_from(bytes.len()).unwrap());
}
