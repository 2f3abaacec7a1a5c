//! Joined in the middle of a conversation: what is in flight is exact, or it is said that it is not.

use proptest::prelude::*;

use crate::script::{PREFACE, Wire, cases, frame};
use probe_common::lane::{SCANNING, TRYING};
use probe_common::slot::{ORIGIN_SEEDED, Slot};
use probe_common::walk::{RECEIVED, SENT};

/// A segment: its direction, and its bytes.
type Piece = (u32, Vec<u8>);

/// Requests with up to `at_once` answers outstanding, each answer HEADERS and a body that ends it, cut after `size` bytes.
fn conversation(requests: u32, at_once: u32, body: usize, size: usize) -> Vec<Piece> {
    let mut pieces = vec![(SENT, [PREFACE, &frame(4, 0, 0, &[])].concat()), (RECEIVED, frame(4, 0, 0, &[]))];
    let answer = |n: u32| {
        let stream = 2 * n + 1;
        // A body that looks nothing like frames.
        let body: Vec<u8> = (0..body).map(|k| (k as u8).wrapping_mul(37) | 0x80).collect();
        [frame(1, 4, stream, &[0x88; 5]), frame(0, 1, stream, &body)].concat()
    };
    // Cut without regard to where frames begin.
    let mut waiting = Vec::new();
    for n in 0..requests + at_once {
        if n < requests {
            pieces.push((SENT, frame(1, 5, 2 * n + 1, &[0x82; 11])));
        }
        if n >= at_once {
            waiting.extend(answer(n - at_once));
        }
        while waiting.len() >= size {
            pieces.push((RECEIVED, waiting.drain(..size).collect()));
        }
    }
    pieces.push((RECEIVED, waiting));
    pieces.retain(|(_, bytes)| !bytes.is_empty());
    pieces
}

fn deliver(wire: &mut Wire, next: &mut [u32; 2], (direction, bytes): &Piece) {
    wire.deliver(*direction, next[*direction as usize], bytes, 0);
}

fn says_approximate(slot: &Slot) -> bool {
    let searching = |state| matches!(state, SCANNING | TRYING);
    let c = &slot.connection;
    let horizon = c.sent.horizon.max(c.received.horizon);
    searching(slot.sent_lanes.lanes[0].state)
        || searching(slot.received_lanes.lanes[0].state)
        || c.streams.census(c.highest_stream, horizon).doubtful > 0
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn in_flight_is_exact_or_said_to_be_approximate(
        join in 0usize..200,
        at_once in 1u32..6,
        body in prop_oneof![0usize..60, 0usize..3000],
        size in prop_oneof![9usize..60, 60usize..1500],
        offset in 0usize..1500,
    ) {
        let pieces = conversation(40, at_once, body, size);
        let join = join % pieces.len();
        let mut full = Wire::new(0);
        let mut late = Wire { slot: Box::default(), now_ns: 1 };
        late.slot.prepare(ORIGIN_SEEDED);
        let mut next = [0u32; 2];
        for (i, piece) in pieces.iter().enumerate() {
            deliver(&mut full, &mut next, piece);
            if i == join {
                // Only the end of the first segment is seen.
                let (direction, bytes) = piece;
                let from = offset % bytes.len();
                late.deliver(*direction, next[*direction as usize] + from as u32, &bytes[from..], 0);
            } else if i > join {
                deliver(&mut late, &mut next, piece);
            }
            next[piece.0 as usize] += piece.1.len() as u32;
            let (all, seen) = (&full.slot.connection, &late.slot.connection);
            // Streams that were opened before are not claimed.
            let Some(before) = seen.first_stream.checked_sub(1) else { continue };
            let truth = all.streams.census_above(all.highest_stream, before);
            let claimed = seen.streams.census(seen.highest_stream, 0);
            prop_assert!(
                says_approximate(&late.slot) || claimed.in_flight == truth.in_flight,
                "piece {i}: {claimed:?} for {truth:?}"
            );
        }
    }
}

/// A response whose beginning was passed over while the alignment was searched: its stream is doubtful until it ends.
#[test]
fn a_stream_that_is_opened_while_the_alignment_is_searched_is_doubtful() {
    let mut wire = Wire { slot: Box::default(), now_ns: 1 };
    wire.slot.prepare(ORIGIN_SEEDED);
    wire.deliver(SENT, 0, &frame(1, 5, 101, &[0x82; 11]), 0);
    wire.deliver(SENT, 20, &frame(1, 5, 103, &[0x82; 11]), 0);
    // The end of a body, and the whole answer to 101, cut so that neither header is found.
    let answer = [vec![0xff; 700], frame(1, 5, 101, &[0x88; 5])].concat();
    wire.deliver(RECEIVED, 0, &answer[..704], 0);
    wire.deliver(RECEIVED, 704, &answer[704..], 0);
    wire.deliver(RECEIVED, 714, &frame(6, 1, 0, &[0; 8]), 0);
    let c = &wire.slot.connection;
    assert_eq!((c.streams_opened, c.received.resyncs), (2, 1));
    let census = c.streams.census(c.highest_stream, c.received.horizon);
    assert_eq!((census.in_flight, census.doubtful), (2, 2));
}
