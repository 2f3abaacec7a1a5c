//! TCP sequence order: which part of a segment is new, and which lane it belongs to.
//!
//! Lane 0 is the stream in order. A segment that arrives beyond a hole opens another lane, which finds its own alignment;
//! when the retransmission fills the hole, lane 0 reaches the other lane's start, and if it expects its next header exactly
//! where the other one found its first, nothing was missed and they become one. Otherwise frames in between were not seen:
//! the direction is inexact, and says so.

use crate::lane::{FRAMES, Lane, RECORDS, SCANNING, TRYING};

/// Lanes of a direction: the stream in order, and the islands behind up to three holes.
pub const LANES: usize = 4;

/// The lanes of one direction. Lane 0 is always the stream in order; `active` is 0 until its first sequence number is known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Lanes {
    /// Gaps in the sequence, and gaps given up because there were too many at once.
    pub holes: u64,
    pub holes_abandoned: u64,
    /// Joins over frames that were not seen.
    pub missed: u64,
    /// Processors that want to walk this direction at this moment. Segments of one connection may arrive on several at once
    /// (the hook runs before the socket is locked), and only one may walk.
    pub turn: u64,
    /// Active lanes besides lane 0.
    pub islands: u32,
    /// 1 when somebody waited for the present turn in vain.
    pub given_up: u32,
    pub lanes: [Lane; LANES],
}

/// The part of a segment that is new and the lane it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub lane: usize,
    /// Leading bytes of the segment that were seen before.
    pub skip: u32,
    /// Bytes after them that are new.
    pub len: u32,
}

/// Signed distance from `b` to `a` in sequence space (RFC 9293, section 3.4).
#[inline(always)]
#[must_use]
pub fn distance(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

/// Finds the place of `len` bytes at `seq`; `None` when all of them were seen before.
#[inline(always)]
pub fn place(lanes: &mut Lanes, seq: u32, len: u32) -> Option<Place> {
    let next = lanes.lanes[0].next;
    let ahead = distance(seq, next);
    if ahead > 0 {
        return place_beyond_hole(lanes, seq, len);
    }
    let skip = ahead.unsigned_abs();
    if skip >= len {
        return None;
    }
    let len = up_to_next_island(lanes, next, len - skip);
    if len == 0 { None } else { Some(Place { lane: 0, skip, len }) }
}

/// Of `len` bytes at `from`, those before the next island: its bytes are the island's.
#[inline(always)]
fn up_to_next_island(lanes: &Lanes, from: u32, len: u32) -> u32 {
    let mut len = len;
    if lanes.islands != 0 {
        let mut i = 1;
        while i < LANES {
            let island = &lanes.lanes[i];
            let reach = distance(island.start, from);
            if island.active != 0 && reach >= 0 && (reach as u32) < len {
                len = reach as u32;
            }
            i += 1;
        }
    }
    len
}

#[inline(always)]
fn place_beyond_hole(lanes: &mut Lanes, seq: u32, len: u32) -> Option<Place> {
    let mut free = 0;
    let mut i = 1;
    while i < LANES {
        let island = &lanes.lanes[i];
        if island.active == 0 {
            free = i;
        } else if distance(seq, island.start) >= 0 && distance(seq, island.next) <= 0 {
            let skip = distance(island.next, seq) as u32;
            if skip >= len {
                return None;
            }
            let len = up_to_next_island(lanes, island.next, len - skip);
            return if len == 0 { None } else { Some(Place { lane: i, skip, len }) };
        }
        i += 1;
    }
    if free == 0 {
        // More holes than lanes: the first hole is given up, and its island is the stream from now on.
        lanes.holes_abandoned += 1;
        let nearest = nearest_island(lanes);
        adopt(lanes, nearest, false);
        free = nearest;
    }
    let len = up_to_next_island(lanes, seq, len);
    lanes.holes += 1;
    lanes.islands += 1;
    lanes.lanes[free & (LANES - 1)] =
        Lane { start: seq, next: seq, first: seq, state: SCANNING, active: 1, ..Lane::default() };
    Some(Place { lane: free & (LANES - 1), skip: 0, len })
}

/// The island that begins first; only called when there is one.
#[inline(always)]
fn nearest_island(lanes: &Lanes) -> usize {
    let next = lanes.lanes[0].next;
    let mut best = 1;
    let mut best_reach = i32::MAX;
    let mut i = 1;
    while i < LANES {
        let island = &lanes.lanes[i];
        let reach = distance(island.start, next);
        if island.active != 0 && reach < best_reach {
            best = i;
            best_reach = reach;
        }
        i += 1;
    }
    best
}

/// Gives up holes whose bytes were acknowledged: the receiver has them, so they will not come again, and were not seen. True when
/// there was one.
#[inline(always)]
pub fn give_up_acknowledged(lanes: &mut Lanes, ack: u32) -> bool {
    let mut gave_up = false;
    let mut round = 1;
    while round < LANES {
        if lanes.islands == 0 || distance(ack, lanes.lanes[0].next) <= 0 {
            break;
        }
        let nearest = nearest_island(lanes);
        adopt(lanes, nearest, false);
        lanes.holes_abandoned += 1;
        gave_up = true;
        round += 1;
    }
    gave_up
}

/// Joins lane 0 with the islands that it has reached. Returns true when frames between them were missed.
#[inline(always)]
pub fn join(lanes: &mut Lanes) -> bool {
    let mut missed = false;
    let mut round = 1;
    while round < LANES {
        if lanes.islands == 0 {
            break;
        }
        let i = nearest_island(lanes) & (LANES - 1);
        if distance(lanes.lanes[i].start, lanes.lanes[0].next) > 0 {
            break;
        }
        missed |= adopt(lanes, i, true);
        round += 1;
    }
    missed
}

/// Makes island `i` the stream in order. Returns true unless lane 0 proves that nothing lies between them unseen.
#[inline(always)]
fn adopt(lanes: &mut Lanes, i: usize, reached: bool) -> bool {
    let i = i & (LANES - 1);
    let island = lanes.lanes[i];
    lanes.lanes[i].active = 0;
    lanes.islands = lanes.islands.saturating_sub(1);
    let main = &mut lanes.lanes[0];
    let length = distance(island.next, main.next);
    if length <= 0 {
        return false;
    }
    let expects = main.next.wrapping_add(main.left);
    let certain = reached && main.have == 0 && (main.state == FRAMES || main.state == RECORDS);
    if certain && distance(expects, island.next) >= 0 {
        // The whole island lies inside the payload that lane 0 is passing over.
        main.left -= length as u32;
        main.next = island.next;
        return false;
    }
    let exact = certain && island.aligned() && expects == island.first;
    let (start, active) = (main.start, main.active);
    // An island on probation stays on probation; one that found nothing goes on scanning.
    *main = Lane { start, active, ..island };
    if exact {
        return false;
    }
    if certain && island.state == TRYING && expects == island.first {
        // Both agree on where the tried header is, and lane 0 was sure.
        return false;
    }
    lanes.missed += 1;
    true
}
