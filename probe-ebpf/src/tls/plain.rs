//! The walk of plaintext: the lanes and tallies of the wire, over the memory of a process.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_user};
use probe_common::account::{Received, Sent};
use probe_common::http2::{Bounds, FrameHeader};
use probe_common::lane::{FRAMES, Sink, Source, Step};
use probe_common::loss::{FRAME_BUDGET, UNASSOCIATED, UNREADABLE_MEMORY};
use probe_common::slot::Slot;
use probe_common::tls::{Object, Unit, WAITING};
use probe_common::walk::SENT;

use crate::maps::{SLOTS, lost};
use crate::packet::bounds;
use crate::segment::signal;
use crate::tally::{DESYNCED, RESYNCED, SETTING, frame_unit, tally_received, tally_sent};

/// Steps of one call: 16 KiB of frames without payload is 1,820 frames.
const LOOP_STEPS: u32 = 1 << 15;
/// No slot is known.
const NOWHERE: u32 = u32::MAX;

struct Memory {
    address: u64,
    length: u32,
}

impl Source for Memory {
    #[inline(always)]
    fn len(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn load(&self, at: u32, unit: &mut [u8; 48], offset: u32, n: u32) -> bool {
        let (offset, n) = bounds(offset, n);
        let from = self.address.wrapping_add(u64::from(at));
        // SAFETY: offset + n is at most 48, the size of `unit`; the helper checks the source.
        let failed = unsafe {
            bpf_probe_read_user(unit.as_mut_ptr().add(offset as usize).cast(), n, from as *const c_void)
        } != 0;
        if failed {
            lost(UNREADABLE_MEMORY);
        }
        !failed
    }
}

/// Hands units to the slot, or to the object while the slot is unknown.
struct Plain<const DIRECTION: u32> {
    object: *mut Object,
    slot: u32,
    now_ns: u64,
    signals: u32,
}

impl<const DIRECTION: u32> Plain<DIRECTION> {
    #[inline(always)]
    fn tell(&mut self, what: u64, stream: u32, value: u64) {
        if self.slot == NOWHERE {
            // SAFETY: the object of this call; its direction has one writer.
            let object = unsafe { &mut *self.object };
            let waiting =
                if DIRECTION == SENT { &mut object.sent_waiting } else { &mut object.received_waiting };
            let n = waiting.count as usize;
            if n < WAITING {
                waiting.units[n] = Unit { what, value, at_ns: self.now_ns, stream, pad: 0 };
                waiting.count += 1;
            } else {
                waiting.lost += 1;
                lost(UNASSOCIATED);
            }
            return;
        }
        self.signals |= if DIRECTION == SENT {
            tally_sent(self.slot, what, stream, value, self.now_ns)
        } else {
            tally_received(self.slot, what, stream, value, self.now_ns)
        };
    }
}

impl<const DIRECTION: u32> Sink for Plain<DIRECTION> {
    #[inline(always)]
    fn frame(&mut self, header: &FrameHeader, value: u64) {
        self.tell(frame_unit(header), header.stream, value);
    }

    #[inline(always)]
    fn setting(&mut self, id: u16, value: u32) {
        self.tell(SETTING << 40, u32::from(id), u64::from(value));
    }

    #[inline(always)]
    fn record(&mut self, _content_type: u8, _length: u32, _first: u8) {}

    #[inline(always)]
    fn recognised(&mut self, _state: u32) {}

    #[inline(always)]
    fn desynced(&mut self) {
        self.tell(DESYNCED << 40, 0, 0);
    }

    #[inline(always)]
    fn resynced(&mut self) {
        self.tell(RESYNCED << 40, 0, 0);
    }

    #[inline(always)]
    fn bounds(&self) -> Bounds {
        if let Some(slot) = SLOTS.get_ptr_mut(self.slot) {
            // SAFETY: a slot that this object is bound to.
            let connection = unsafe { &mut (*slot).connection };
            return if DIRECTION == SENT {
                Sent { connection, now_ns: 0, plain: true, signals: 0 }.bounds()
            } else {
                Received { connection, now_ns: 0, plain: true, signals: 0 }.bounds()
            };
        }
        Bounds { highest_stream: 0, max_frame_size: 1 << 20 }
    }

    #[inline(always)]
    fn grammar(&self) -> u32 {
        FRAMES
    }
}

/// A walk in progress; lives on the stack of the program.
struct Walk {
    object: *mut Object,
    address: u64,
    now_ns: u64,
    length: u32,
    at: u32,
    slot: u32,
    signals: u32,
}

unsafe extern "C" fn on_step<const DIRECTION: u32>(_index: u64, walk: *mut c_void) -> i64 {
    // SAFETY: bpf_loop hands back the pointer that `walk` gave it.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    let source = Memory { address: walk.address, length: walk.length };
    let mut sink =
        Plain::<DIRECTION> { object: walk.object, slot: walk.slot, now_ns: walk.now_ns, signals: 0 };
    // SAFETY: the lane of this direction has one writer; the sink touches the waiting list only.
    let lane =
        unsafe { if DIRECTION == SENT { &mut (*walk.object).sent } else { &mut (*walk.object).received } };
    let mut at = walk.at;
    let done = lane.step(&source, &mut at, &mut sink) == Step::Done;
    walk.at = at;
    walk.signals |= sink.signals;
    i64::from(done)
}

/// The slot that the object is bound to, as long as it is still that socket's.
#[inline(always)]
fn bound_slot(object: &mut Object) -> Option<(u32, *mut Slot)> {
    if object.cookie == 0 {
        return None;
    }
    let slot = SLOTS.get_ptr_mut(object.slot)?;
    // SAFETY: reads of a slot.
    let connection = unsafe { &(*slot).connection };
    if connection.cookie != object.cookie || connection.closed_ns != 0 {
        object.cookie = 0;
        object.votes = 0;
        return None;
    }
    Some((object.slot, slot))
}

/// The first bytes of a call, zeros behind a shorter one.
#[inline(always)]
fn head(address: u64, length: u32) -> Option<[u8; 16]> {
    let mut bytes = [0u8; 16];
    let n = if length < 16 { length } else { 16 };
    // SAFETY: a local variable; the verifier wants to see the bounds.
    let n = unsafe { core::ptr::read_volatile(&raw const n) };
    if n == 0 || n > 16 {
        return None;
    }
    // SAFETY: the destination has 16 bytes; the helper checks the source.
    let failed = unsafe { bpf_probe_read_user(bytes.as_mut_ptr().cast(), n, address as *const c_void) } != 0;
    if failed {
        lost(UNREADABLE_MEMORY);
        return None;
    }
    Some(bytes)
}

/// Walks `length` bytes at `address` that went through `object` in one call.
#[inline(always)]
pub fn walk<const DIRECTION: u32>(object: *mut Object, address: u64, length: u32) {
    let Some(head) = head(address, length) else { return };
    // SAFETY: the object of the current call.
    let begun = unsafe {
        if DIRECTION == SENT {
            (*object).begin_write(&head, length)
        } else {
            (*object).begin_read(&head, length)
        }
    };
    if !begun {
        return;
    }
    // SAFETY: as above.
    let bound = bound_slot(unsafe { &mut *object });
    let slot = bound.map_or(NOWHERE, |(index, _)| index);
    // SAFETY: takes no argument.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if slot != NOWHERE {
        // SAFETY: as above.
        account_waiting::<DIRECTION>(unsafe { &mut *object }, slot);
    }
    let mut walk = Walk { object, address, now_ns, length, at: 0, slot, signals: 0 };
    // SAFETY: the callback takes exactly this pointer, which outlives the call.
    unsafe { bpf_loop(LOOP_STEPS, on_step::<DIRECTION> as *mut c_void, (&raw mut walk).cast(), 0) };
    if walk.at < length {
        lost(FRAME_BUDGET);
    }
    let Some((index, slot)) = bound else { return };
    // SAFETY: the slot that the object is bound to; each direction writes its own field.
    let connection = unsafe { &mut (*slot).connection };
    if DIRECTION == SENT {
        connection.sent_plain_used = 1;
        signal(index, connection.cookie, slot, walk.signals);
    } else {
        // While the alignment is searched, the peer is heard by its records.
        // SAFETY: as above.
        connection.received_plain_used = u32::from(unsafe { (*object).received.aligned() });
    }
}

/// Accounts what was seen before the socket was known.
#[inline(always)]
pub fn account_waiting<const DIRECTION: u32>(object: &mut Object, index: u32) {
    let waiting = if DIRECTION == SENT { &mut object.sent_waiting } else { &mut object.received_waiting };
    let mut n = 0;
    while n < WAITING as u32 && n < waiting.count {
        let unit = &waiting.units[n as usize % WAITING];
        if DIRECTION == SENT {
            tally_sent(index, unit.what, unit.stream, unit.value, unit.at_ns);
        } else {
            tally_received(index, unit.what, unit.stream, unit.value, unit.at_ns);
        }
        n += 1;
    }
    waiting.count = 0;
}
