//! A segment from its TCP header to its last frame, in three parts, so that the caller brings the loop: the kernel uses
//! `bpf_loop` where it exists, everybody else an ordinary one.

use crate::account::Books;
use crate::direction::{Direction, Segment, TCP_SYN};
use crate::lane::{FOREIGN, OPENING, OPENING_PEER, Source, Step};
use crate::order::{LANES, Lanes, Place, give_up_acknowledged, join, place};
use crate::slot::{Connection, Slot, TRANSPORT_FOREIGN};

/// Directions, as seen from the client.
pub const SENT: u32 = 0;
pub const RECEIVED: u32 = 1;

impl Slot {
    #[inline(always)]
    fn parts(&mut self, direction: u32) -> (&mut Connection, &mut Lanes) {
        if direction == SENT {
            (&mut self.connection, &mut self.sent_lanes)
        } else {
            (&mut self.connection, &mut self.received_lanes)
        }
    }
}

impl Connection {
    #[inline(always)]
    pub(crate) fn direction(&mut self, direction: u32) -> &mut Direction {
        if direction == SENT { &mut self.sent } else { &mut self.received }
    }
}

/// Counts the segment and finds the part of its payload that is to be walked.
#[inline(always)]
pub fn begin(slot: &mut Slot, direction: u32, segment: &Segment, now_ns: u64) -> Option<Place> {
    let (connection, lanes) = slot.parts(direction);
    connection.direction(direction).segment(segment, now_ns);
    if segment.flags & TCP_SYN != 0 {
        start(lanes, segment.seq);
    }
    if segment.payload == 0 || connection.transport == TRANSPORT_FOREIGN {
        return None;
    }
    if lanes.lanes[0].active == 0 {
        start(lanes, segment.seq);
    }
    if lanes.islands != 0 {
        let opposite = if direction == SENT { &connection.received } else { &connection.sent };
        let (acknowledged, ack) = (opposite.last_ack_ns != 0, opposite.ack);
        if acknowledged && give_up_acknowledged(lanes, ack) {
            let highest = connection.highest_stream;
            connection.direction(direction).mark_missed(highest, now_ns);
        }
    }
    let (holes, abandoned) = (lanes.holes, lanes.holes_abandoned);
    let place = place(lanes, segment.seq, segment.payload);
    if lanes.holes != holes {
        let highest = connection.highest_stream;
        let direction = connection.direction(direction);
        direction.gap_pending = 1;
        if lanes.holes_abandoned != abandoned {
            direction.mark_missed(highest, now_ns);
        }
    }
    place
}

/// The first sequence number of the direction is known.
#[inline(always)]
fn start(lanes: &mut Lanes, seq: u32) {
    let lane = &mut lanes.lanes[0];
    lane.start = seq;
    lane.next = seq;
    lane.first = seq;
    lane.active = 1;
}

/// Walks one unit of `source`, the new part of the segment. Signals are added to `signals`.
#[inline(always)]
pub fn step<S: Source>(
    slot: &mut Slot,
    direction: u32,
    lane: usize,
    source: &S,
    at: &mut u32,
    now_ns: u64,
    signals: &mut u32,
) -> Step {
    if direction == SENT {
        step_of::<SENT, S>(slot, lane, source, at, now_ns, signals)
    } else {
        step_of::<RECEIVED, S>(slot, lane, source, at, now_ns, signals)
    }
}

#[inline(always)]
fn step_of<const DIRECTION: u32, S: Source>(
    slot: &mut Slot,
    lane: usize,
    source: &S,
    at: &mut u32,
    now_ns: u64,
    signals: &mut u32,
) -> Step {
    let (connection, lanes) = slot.parts(DIRECTION);
    let mut sink = Books::<DIRECTION> { connection, now_ns, plain: false, island: lane != 0, signals: 0 };
    let step = lanes.lanes[lane & (LANES - 1)].step(source, at, &mut sink);
    *signals |= sink.signals;
    step
}

/// Walks a run of ordinary frames of `source`; `More`: the next unit is for `step`.
#[inline(always)]
pub fn run<const DIRECTION: u32, S: Source>(
    slot: &mut Slot,
    lane: usize,
    source: &S,
    at: &mut u32,
    now_ns: u64,
    signals: &mut u32,
) -> Step {
    let (connection, lanes) = slot.parts(DIRECTION);
    let mut sink = Books::<DIRECTION> { connection, now_ns, plain: false, island: lane != 0, signals: 0 };
    let step = lanes.lanes[lane & (LANES - 1)].run(source, at, &mut sink);
    *signals |= sink.signals;
    step
}

/// Ends the walk of `place`: `walked` bytes of it were used. True when the frame budget ended before the bytes did: of what is
/// neither HTTP/2 nor TLS nothing is walked, and nothing lost.
#[inline(always)]
pub fn finish(slot: &mut Slot, direction: u32, place: &Place, walked: u32, now_ns: u64) -> bool {
    let (connection, lanes) = slot.parts(direction);
    let highest = connection.highest_stream;
    let lane = &mut lanes.lanes[place.lane & (LANES - 1)];
    lane.next = lane.next.wrapping_add(place.len);
    let over_budget = walked < place.len && lane.state != FOREIGN;
    if over_budget {
        if lane.state != OPENING && lane.state != OPENING_PEER && lane.aligned() {
            let direction = connection.direction(direction);
            direction.over_budget += 1;
            direction.desyncs += 1;
            direction.mark_missed(highest, now_ns);
        }
        lane.scan();
    }
    if lanes.islands != 0 && join(lanes) {
        connection.direction(direction).mark_missed(highest, now_ns);
    }
    over_budget
}

/// Walks a whole segment with an ordinary loop of at most `budget` steps; returns the signals.
pub fn segment<S: Source>(
    slot: &mut Slot,
    direction: u32,
    header: &Segment,
    payload: impl FnOnce(Place) -> S,
    now_ns: u64,
    budget: u32,
) -> u32 {
    let Some(place) = begin(slot, direction, header, now_ns) else { return 0 };
    let source = payload(place);
    let (mut at, mut signals, mut steps) = (0, 0, 0);
    while steps < budget {
        let lane = place.lane;
        let ran = if direction == SENT {
            run::<SENT, S>(slot, lane, &source, &mut at, now_ns, &mut signals)
        } else {
            run::<RECEIVED, S>(slot, lane, &source, &mut at, now_ns, &mut signals)
        };
        if ran == Step::Done
            || step(slot, direction, lane, &source, &mut at, now_ns, &mut signals) == Step::Done
        {
            break;
        }
        steps += 1;
    }
    finish(slot, direction, &place, at, now_ns);
    signals
}
