//! The walk of plaintext: the lanes and tallies of the wire, over the memory of a process.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_user};
use probe_common::http2::Bounds;
use probe_common::lane::{FRAMES, Source, Step};
use probe_common::loss::{CONTENDED_SEGMENT, FRAME_BUDGET, UNASSOCIATED, UNREADABLE_MEMORY};
use probe_common::slot::{PLAIN_FRAMES, PLAIN_OTHER, Slot};
use probe_common::tls::{Object, ObjectKey, Unit, WAITING};
use probe_common::walk::{RECEIVED, SENT};

use super::early;
use crate::maps::{SLOTS, TLS_OBJECTS, lost};
use crate::packet::bounds;
use crate::segment::signal;
use crate::tally::{DONE, Tell, Units, bounds_of, tally};

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

/// Hands the units of a lane to the slot, or to the object while the slot is unknown.
struct Plain<const DIRECTION: u32> {
    object: *mut Object,
    slot: u32,
    now_ns: u64,
    signals: u32,
}

impl<const DIRECTION: u32> Tell for Plain<DIRECTION> {
    const WIRE: bool = false;

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
        self.signals |= tally::<DIRECTION>(self.slot, what, stream, value, self.now_ns);
    }

    #[inline(always)]
    fn bounds(&self) -> Bounds {
        match SLOTS.get_ptr_mut(self.slot) {
            Some(slot) => bounds_of::<DIRECTION>(slot),
            None => Bounds { highest_stream: 0, max_frame_size: 1 << 20, longest: (1 << 24) - 1 },
        }
    }

    #[inline(always)]
    fn grammar(&self) -> u32 {
        FRAMES
    }
}

/// A walk in progress; lives on the stack of the program.
struct Walk {
    address: u64,
    /// Process of the object, its slot above it.
    owner: u64,
    buffer: u64,
    now_ns: u64,
    length: u32,
    at: u32,
    signals: u32,
}

unsafe extern "C" fn on_step<const DIRECTION: u32>(_index: u64, walk: *mut c_void) -> i64 {
    // SAFETY: bpf_loop hands back the pointer that `walk` gave it.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    let span = u64::from(walk.length) | u64::from(walk.at) << 32;
    let result = if DIRECTION == SENT {
        plain_step_sent(walk.address, walk.owner, walk.buffer, span, walk.now_ns)
    } else {
        plain_step_received(walk.address, walk.owner, walk.buffer, span, walk.now_ns)
    };
    walk.at = result as u32;
    walk.signals |= (result >> 32) as u32 & 0xffff;
    i64::from(result & DONE != 0)
}

#[inline(always)]
fn step<const DIRECTION: u32>(address: u64, owner: u64, buffer: u64, span: u64, now_ns: u64) -> u64 {
    let key = ObjectKey { address, tgid: owner as u32, pad: 0 };
    let Some(object) = TLS_OBJECTS.get_ptr_mut(&key) else { return DONE };
    let source = Memory { address: buffer, length: span as u32 };
    let mut sink = Units(Plain::<DIRECTION> { object, slot: (owner >> 32) as u32, now_ns, signals: 0 });
    // SAFETY: the lane of this direction has one writer; the sink touches the waiting list only.
    let lane = unsafe { if DIRECTION == SENT { &mut (*object).sent } else { &mut (*object).received } };
    let mut at = (span >> 32) as u32;
    let done = lane.step(&source, &mut at, &mut sink) == Step::Done;
    u64::from(at) | u64::from(sink.0.signals & 0xffff) << 32 | if done { DONE } else { 0 }
}

/// One step of what the client writes; a global function, as in `tally`. `owner`: process, slot above it. `span`: length,
/// offset above it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn plain_step_sent(address: u64, owner: u64, buffer: u64, span: u64, now_ns: u64) -> u64 {
    step::<SENT>(address, owner, buffer, span, now_ns)
}

/// One step of what the client reads.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn plain_step_received(address: u64, owner: u64, buffer: u64, span: u64, now_ns: u64) -> u64 {
    step::<RECEIVED>(address, owner, buffer, span, now_ns)
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
pub fn head(address: u64, length: u32) -> Option<[u8; 16]> {
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

/// Walks `length` bytes at `buffer` that went through `object` in one call.
#[inline(always)]
pub fn walk<const DIRECTION: u32>(key: &ObjectKey, object: *mut Object, buffer: u64, length: u32) {
    let Some(head) = head(buffer, length) else { return };
    // SAFETY: the object of the current call.
    let begun = unsafe {
        if DIRECTION == SENT {
            (*object).begin_write(&head, length)
        } else {
            (*object).begin_read(&head, length)
        }
    };
    if !begun {
        if DIRECTION == SENT {
            // SAFETY: the object of the current call.
            refute(unsafe { &mut *object });
        }
        return;
    }
    if DIRECTION == SENT {
        walk_call::<SENT>(key, object, buffer, length);
        return;
    }
    if !early::take(object) {
        lost(CONTENDED_SEGMENT);
        // SAFETY: the object of the current call; the lane of this direction has one writer.
        unsafe { (*object).received.scan() };
        return;
    }
    let bound = walk_call::<RECEIVED>(key, object, buffer, length);
    early::release(object);
    if !bound {
        // Who bound it meanwhile found the turn taken.
        // SAFETY: the object of the current call.
        if let Some((index, _)) = bound_slot(unsafe { &mut *object }) {
            early::account(object, index);
        }
    }
}

/// Tells the connection when what its client writes is not HTTP/2.
#[inline(always)]
fn refute(object: &mut Object) {
    if !object.is_refuted() {
        return;
    }
    if let Some((_, slot)) = bound_slot(object) {
        // SAFETY: the slot that the object is bound to; the field is written by what is sent.
        unsafe { (*slot).connection.sent_plain_used = PLAIN_OTHER };
    }
}

/// The walk of a call whose object is known to speak HTTP/2. True when it knew the socket.
#[inline(always)]
fn walk_call<const DIRECTION: u32>(key: &ObjectKey, object: *mut Object, buffer: u64, length: u32) -> bool {
    // SAFETY: the object of the current call.
    let bound = bound_slot(unsafe { &mut *object });
    let slot = bound.map_or(NOWHERE, |(index, _)| index);
    // SAFETY: takes no argument.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if slot != NOWHERE {
        // SAFETY: as above.
        account_waiting::<DIRECTION>(unsafe { &mut *object }, slot);
    }
    let owner = u64::from(key.tgid) | u64::from(slot) << 32;
    let mut walk = Walk { address: key.address, owner, buffer, now_ns, length, at: 0, signals: 0 };
    // SAFETY: the callback takes exactly this pointer, which outlives the call.
    unsafe { bpf_loop(LOOP_STEPS, on_step::<DIRECTION> as *mut c_void, (&raw mut walk).cast(), 0) };
    if walk.at < length {
        lost(FRAME_BUDGET);
        // SAFETY: the lane of this direction has one writer.
        unsafe { if DIRECTION == SENT { (*object).sent.scan() } else { (*object).received.scan() } };
    }
    let Some((index, slot)) = bound else { return false };
    // SAFETY: the slot that the object is bound to; each direction writes its own field.
    let connection = unsafe { &mut (*slot).connection };
    if DIRECTION == SENT {
        connection.sent_plain_used = PLAIN_FRAMES;
        signal(index, connection.cookie, slot, walk.signals);
    } else {
        early::heard(object, slot);
    }
    true
}

/// Accounts what was seen before the socket was known.
#[inline(always)]
pub fn account_waiting<const DIRECTION: u32>(object: &mut Object, index: u32) {
    let waiting = if DIRECTION == SENT { &mut object.sent_waiting } else { &mut object.received_waiting };
    let mut n = 0;
    while n < WAITING as u32 && n < waiting.count {
        let unit = &waiting.units[n as usize % WAITING];
        tally::<DIRECTION>(index, unit.what, unit.stream, unit.value, unit.at_ns);
        n += 1;
    }
    waiting.count = 0;
    if waiting.lost != 0 {
        waiting.lost = 0;
        miss::<DIRECTION>(index);
    }
}

/// Something was sent that nobody has seen: where the next frame begins is to be found.
#[inline(always)]
pub fn miss_sent(object: &mut Object) {
    object.sent.scan();
    match bound_slot(object) {
        Some((index, _)) => miss::<SENT>(index),
        None => object.sent_waiting.lost += 1,
    }
}

/// Frames of a direction are missing.
#[inline(always)]
pub fn miss<const DIRECTION: u32>(index: u32) {
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return };
    // SAFETY: the slot that the object is bound to; each direction writes its own fields.
    let connection = unsafe { &mut (*slot).connection };
    let direction = if DIRECTION == SENT { &mut connection.sent } else { &mut connection.received };
    // SAFETY: takes no argument.
    direction.mark_missed(connection.highest_stream, unsafe { bpf_ktime_get_ns() });
}
