//! Functions that the verifier checks once, by themselves, whatever calls them ("global functions", Linux 5.6).
//!
//! Their arguments are numbers, so they look their slot up again; that costs a few nanoseconds and keeps the verifier's work
//! for a walk at the sum of its parts instead of their product. On Linux 5.10 their arguments cannot be pointers.

use aya_ebpf::bindings::__sk_buff;
use probe_common::account::Books;
use probe_common::http2::{Bounds, FrameHeader};
use probe_common::lane::{FRAMES, OPENING, RECORDS, Sink, Step};
use probe_common::order::LANES;
use probe_common::slot::{Slot, TRANSPORT_TLS, TRANSPORT_UNKNOWN};
use probe_common::walk::{self, RECEIVED, SENT};

use crate::maps::SLOTS;
use crate::packet::Payload;

/// What a `Sink` is told, as a number: bits 40 and up of `what`.
const FRAME: u64 = 0;
const SETTING: u64 = 1;
const RECORD: u64 = 2;
const RECOGNISED: u64 = 3;
const DESYNCED: u64 = 4;
const RESYNCED: u64 = 5;

/// Who is told units as numbers.
pub trait Tell {
    /// They come from the wire: TLS records among them, and the first bytes decide what the connection is.
    const WIRE: bool;
    /// One unit.
    fn tell(&mut self, what: u64, stream: u32, value: u64);
    /// As in `Sink`.
    fn bounds(&self) -> Bounds;
    /// As in `Sink`.
    fn grammar(&self) -> u32;
}

/// The sink of who is told units.
pub struct Units<T>(pub T);

impl<T: Tell> Sink for Units<T> {
    #[inline(always)]
    fn frame(&mut self, header: &FrameHeader, value: u64) {
        let what = u64::from(header.length) | u64::from(header.kind) << 24 | u64::from(header.flags) << 32;
        self.0.tell(what | FRAME << 40, header.stream, value);
    }

    #[inline(always)]
    fn setting(&mut self, id: u16, value: u32) {
        self.0.tell(SETTING << 40, u32::from(id), u64::from(value));
    }

    #[inline(always)]
    fn record(&mut self, content_type: u8, length: u32) {
        if T::WIRE {
            self.0.tell(RECORD << 40 | u64::from(content_type) << 24, length, 0);
        }
    }

    #[inline(always)]
    fn recognised(&mut self, state: u32) {
        if T::WIRE {
            self.0.tell(RECOGNISED << 40, state, 0);
        }
    }

    #[inline(always)]
    fn desynced(&mut self) {
        self.0.tell(DESYNCED << 40, 0, 0);
    }

    #[inline(always)]
    fn resynced(&mut self, skipped: bool) {
        self.0.tell(RESYNCED << 40, 0, u64::from(skipped));
    }

    #[inline(always)]
    fn bounds(&self) -> Bounds {
        self.0.bounds()
    }

    #[inline(always)]
    fn grammar(&self) -> u32 {
        self.0.grammar()
    }
}

/// What the books of a slot know of a direction.
#[inline(always)]
pub fn bounds_of<const DIRECTION: u32>(slot: *mut Slot) -> Bounds {
    // SAFETY: the slot pointer was checked by the caller.
    let connection = unsafe { &mut (*slot).connection };
    Books::<DIRECTION> { connection, now_ns: 0, plain: false, island: false, signals: 0 }.bounds()
}

/// Hands the units of a lane on to `tally_sent` or `tally_received`.
struct Numbered<const DIRECTION: u32> {
    slot: *mut Slot,
    index: u32,
    island: bool,
    now_ns: u64,
    signals: u32,
}

impl<const DIRECTION: u32> Tell for Numbered<DIRECTION> {
    const WIRE: bool = true;

    #[inline(always)]
    fn tell(&mut self, what: u64, stream: u32, value: u64) {
        // What an island passed over is judged when the hole before it is filled.
        let value = if what >> 40 == RESYNCED && self.island { 0 } else { value };
        self.signals |= tally::<DIRECTION>(self.index, what, stream, value, self.now_ns);
    }

    #[inline(always)]
    fn bounds(&self) -> Bounds {
        bounds_of::<DIRECTION>(self.slot)
    }

    #[inline(always)]
    fn grammar(&self) -> u32 {
        // SAFETY: the slot pointer was checked by who made this sink.
        match unsafe { (*self.slot).connection.transport } {
            TRANSPORT_UNKNOWN => OPENING,
            TRANSPORT_TLS => RECORDS,
            _ => FRAMES,
        }
    }
}

/// The tally of a direction.
#[inline(always)]
pub fn tally<const DIRECTION: u32>(index: u32, what: u64, stream: u32, value: u64, now_ns: u64) -> u32 {
    if DIRECTION == SENT {
        tally_sent(index, what, stream, value, now_ns)
    } else {
        tally_received(index, what, stream, value, now_ns)
    }
}

#[inline(always)]
fn tell<K: Sink>(sink: &mut K, what: u64, stream: u32, value: u64) {
    let kind = (what >> 24) as u8;
    match what >> 40 {
        FRAME => {
            let length = (what & 0x00ff_ffff) as u32;
            let flags = (what >> 32) as u8;
            sink.frame(&FrameHeader { length, stream, kind, flags, reserved: 0, pad: 0 }, value);
        }
        SETTING => sink.setting(stream as u16, value as u32),
        RECORD => sink.record(kind, stream),
        RECOGNISED => sink.recognised(stream),
        DESYNCED => sink.desynced(),
        _ => sink.resynced(value != 0),
    }
}

#[inline(always)]
fn account<const DIRECTION: u32>(index: u32, what: u64, stream: u32, value: u64, now_ns: u64) -> u32 {
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return 0 };
    // SAFETY: a slot that the caller's caller walks.
    let connection = unsafe { &mut (*slot).connection };
    let mut books = Books::<DIRECTION> { connection, now_ns, plain: false, island: false, signals: 0 };
    tell(&mut books, what, stream, value);
    books.signals
}

/// Accounts one unit of the sending direction; returns signals.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tally_sent(index: u32, what: u64, stream: u32, value: u64, now_ns: u64) -> u32 {
    account::<SENT>(index, what, stream, value, now_ns)
}

/// Accounts one unit of the receiving direction; returns signals.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tally_received(index: u32, what: u64, stream: u32, value: u64, now_ns: u64) -> u32 {
    account::<RECEIVED>(index, what, stream, value, now_ns)
}

/// Bit 63 of a step's result: the bytes are used up. Bits 32 to 47 are signals, the lower half is the offset reached.
pub const DONE: u64 = 1 << 63;

#[inline(always)]
fn step<const DIRECTION: u32>(skb: *mut __sk_buff, place: u64, span: u64, at: u32, now_ns: u64) -> u64 {
    let index = place as u32;
    let lane = (place >> 32) as usize & (LANES - 1);
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return DONE };
    let source = Payload { skb, at: span as u32, len: (span >> 32) as u32 };
    let mut sink = Units(Numbered::<DIRECTION> { slot, index, island: lane != 0, now_ns, signals: 0 });
    // SAFETY: lanes and connection are different fields; the sink touches only the latter.
    let lane = unsafe {
        if DIRECTION == SENT {
            &mut (*slot).sent_lanes.lanes[lane]
        } else {
            &mut (*slot).received_lanes.lanes[lane]
        }
    };
    let mut at = at;
    let done = lane.step(&source, &mut at, &mut sink) == Step::Done;
    u64::from(at) | u64::from(sink.0.signals & 0xffff) << 32 | if done { DONE } else { 0 }
}

/// One step of the sending direction. `place`: slot index, lane above it. `span`: payload offset, length above it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn step_sent(skb: *mut __sk_buff, place: u64, span: u64, at: u32, now_ns: u64) -> u64 {
    step::<SENT>(skb, place, span, at, now_ns)
}

/// One step of the receiving direction.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn step_received(skb: *mut __sk_buff, place: u64, span: u64, at: u32, now_ns: u64) -> u64 {
    step::<RECEIVED>(skb, place, span, at, now_ns)
}

#[inline(always)]
fn run<const DIRECTION: u32>(skb: *mut __sk_buff, place: u64, span: u64, at: u32, now_ns: u64) -> u64 {
    let Some(slot) = SLOTS.get_ptr_mut(place as u32) else { return DONE };
    let source = Payload { skb, at: span as u32, len: (span >> 32) as u32 };
    let (mut at, mut signals) = (at, 0);
    // SAFETY: the slot that the caller walks.
    let slot = unsafe { &mut *slot };
    let lane = (place >> 32) as usize;
    let done = walk::run::<DIRECTION, _>(slot, lane, &source, &mut at, now_ns, &mut signals) == Step::Done;
    u64::from(at) | u64::from(signals & 0xffff) << 32 | if done { DONE } else { 0 }
}

/// A run of ordinary frames of the sending direction; arguments and result as for `step_sent`, which is for what is not done.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn run_sent(skb: *mut __sk_buff, place: u64, span: u64, at: u32, now_ns: u64) -> u64 {
    run::<SENT>(skb, place, span, at, now_ns)
}

/// A run of ordinary frames of the receiving direction.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn run_received(skb: *mut __sk_buff, place: u64, span: u64, at: u32, now_ns: u64) -> u64 {
    run::<RECEIVED>(skb, place, span, at, now_ns)
}
