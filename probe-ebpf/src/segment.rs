//! A TCP segment of a watched socket, in either direction.

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_loop};
use aya_ebpf::programs::SkBuffContext;
use probe_common::account::{SIGNAL_RECOGNISED, SIGNAL_STALLED, SIGNAL_STIRRED};
use probe_common::event;
use probe_common::loss::{CONTENDED_SEGMENT, FRAME_BUDGET, UNREADABLE_SEGMENT};
use probe_common::order::Place;
use probe_common::slot::{Slot, TRANSPORT_FOREIGN};
use probe_common::walk::{self, RECEIVED, SENT};

use crate::emit;
use crate::hello;
use crate::maps::{CONNECTIONS, SETTINGS, SLOTS, lost};
use crate::packet;
use crate::tally::{DONE, run_received, run_sent, step_received, step_sent};
use crate::tls::associate;
use crate::turn;

/// Steps that one segment may take with `bpf_loop`. A 64 KiB segment holds at most 7,281 frames; a frame is one step,
/// and one more for its protocol fields or each entry of SETTINGS.
const LOOP_STEPS: u32 = 1 << 15;
/// And without: the verifier walks every round of an ordinary loop and keeps at most 8,192 branches open
/// (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`).
const BOUNDED_STEPS: u32 = 2048;

/// A walk in progress; lives on the stack of the program.
pub struct Walk {
    skb: *mut __sk_buff,
    slot: *mut Slot,
    cookie: u64,
    /// Slot index, lane above it.
    place: u64,
    /// Offset of the new bytes in the packet, their number above it.
    span: u64,
    now_ns: u64,
    at: u32,
    signals: u32,
}

type Walker = extern "C" fn(*mut __sk_buff, u64, u64, u32, u64) -> u64;

impl Walk {
    /// Goes on with `walker`; true when the bytes are used up.
    #[inline(always)]
    fn on(&mut self, walker: Walker) -> bool {
        let result = walker(self.skb, self.place, self.span, self.at, self.now_ns);
        self.at = result as u32;
        self.signals |= (result >> 32) as u32 & 0xffff;
        result & DONE != 0
    }
}

/// Zero, but the compiler does not know: it would make one call of memset, byte by byte, of several zeros in a row.
#[inline(always)]
fn zero() -> u64 {
    let zero: u64;
    // SAFETY: sets a register.
    unsafe { asm!("{0} = 0", out(reg) zero) };
    zero
}

/// Finds the socket's slot, reads the headers and walks the new bytes with `walker`.
#[inline(always)]
pub fn segment<const DIRECTION: u32>(ctx: &SkBuffContext, walker: impl Fn(&mut Walk)) {
    // SAFETY: the helper takes the context of this program type.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    // SAFETY: the value is copied at once.
    let Some(index) = unsafe { CONNECTIONS.get(&cookie) }.copied() else { return };
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return };
    // What is sent is sent under the socket's lock.
    // SAFETY: a field of the slot.
    let lanes = unsafe { &raw mut (*slot).received_lanes };
    if DIRECTION == RECEIVED && !turn::take(lanes, index) {
        lost(CONTENDED_SEGMENT);
        return;
    }
    let mut walk = Walk {
        skb: ctx.skb.skb,
        slot,
        cookie,
        place: u64::from(index),
        span: zero(),
        now_ns: zero(),
        at: zero() as u32,
        signals: zero() as u32,
    };
    if begin::<DIRECTION>(&mut walk) != 0 {
        walker(&mut walk);
        end::<DIRECTION>(&mut walk);
        // From here, not from `end`: the chain of calls would be one longer, and its stack too large for Linux 5.10.
        if DIRECTION == SENT {
            associate::records(index, slot);
        }
    }
    if DIRECTION == RECEIVED {
        turn::release(lanes);
    }
}

/// Reads the headers, counts the segment and finds what of it is new. 0: nothing is. Not inlined, so that its stack is gone
/// when the walk begins: all frames of a call chain share 512 bytes.
#[inline(never)]
fn begin<const DIRECTION: u32>(walk: &mut Walk) -> u32 {
    let ctx = SkBuffContext::new(walk.skb);
    let index = walk.place as u32;
    let Some(parsed) = packet::parse(&ctx) else {
        lost(UNREADABLE_SEGMENT);
        return 0;
    };
    // SAFETY: takes no argument.
    walk.now_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the slot is this socket's; the other direction's program writes other fields (see `Connection`).
    let Some(place) = walk::begin(unsafe { &mut *walk.slot }, DIRECTION, &parsed.segment, walk.now_ns) else {
        learn_local_address::<DIRECTION>(&ctx, walk.slot, parsed.ports);
        return 0;
    };
    hello::piece::<DIRECTION>(&ctx, walk.slot, index, walk.cookie, parsed.payload_at, &place);
    walk.place = u64::from(index) | (place.lane as u64) << 32;
    walk.span = u64::from(parsed.payload_at + place.skip) | u64::from(place.len) << 32;
    1
}

/// Takes the walk to the books.
#[inline(never)]
fn end<const DIRECTION: u32>(walk: &mut Walk) -> u32 {
    let index = walk.place as u32;
    let place = Place { lane: (walk.place >> 32) as usize, skip: 0, len: (walk.span >> 32) as u32 };
    // SAFETY: as in `begin`.
    if walk::finish(unsafe { &mut *walk.slot }, DIRECTION, &place, walk.at, walk.now_ns) {
        lost(FRAME_BUDGET);
    }
    if walk.signals != 0 {
        signal(index, walk.cookie, walk.slot, walk.signals);
    }
    0
}

/// The SYN, or the first bare ACK of a seeded socket, tells the local address: connect() runs before it is chosen.
#[inline(always)]
fn learn_local_address<const DIRECTION: u32>(ctx: &SkBuffContext, slot: *mut Slot, ports: (u16, u16)) {
    // SAFETY: written once, by whichever direction comes first, with the same values.
    let connection = unsafe { &mut (*slot).connection };
    if connection.local_port != 0 {
        return;
    }
    let sent = DIRECTION == SENT;
    if packet::local_address(ctx, sent, connection.family, &mut connection.local_addr) {
        connection.local_port = if sent { ports.0 } else { ports.1 };
    }
}

/// Tells user space what must not wait for its next look.
#[inline(always)]
pub fn signal(index: u32, cookie: u64, slot: *mut Slot, signals: u32) {
    // SAFETY: reads of the slot that the caller found.
    let connection = unsafe { &(*slot).connection };
    if signals & SIGNAL_RECOGNISED != 0 && connection.transport == TRANSPORT_FOREIGN {
        let _ = CONNECTIONS.remove(&cookie);
        emit::event(event::FOREIGN, index, cookie, 0);
        return;
    }
    if signals & SIGNAL_STALLED != 0 {
        emit::event(event::STALLED, index, cookie, connection.unanswered());
    }
    if signals & SIGNAL_STIRRED == 0 {
        return;
    }
    let Some(settings) = SETTINGS.get_ptr_mut(0) else { return };
    // SAFETY: an array element, always there. Two CPUs may both ring: user space does not mind.
    unsafe {
        if (*settings).armed != 0 {
            (*settings).armed = 0;
            emit::event(event::STIRRED, index, cookie, 0);
        }
    }
}

/// A run of ordinary frames and one step over whatever follows; true when the bytes are used up.
#[inline(always)]
fn step<const DIRECTION: u32>(walk: &mut Walk) -> bool {
    let (run, step) = if DIRECTION == SENT {
        (run_sent as Walker, step_sent as Walker)
    } else {
        (run_received as Walker, step_received as Walker)
    };
    walk.on(run) || walk.on(step)
}

unsafe extern "C" fn on_step<const DIRECTION: u32>(_index: u64, walk: *mut c_void) -> i64 {
    // SAFETY: bpf_loop hands back the pointer that `looped` gave it.
    i64::from(step::<DIRECTION>(unsafe { &mut *walk.cast::<Walk>() }))
}

/// Walks with `bpf_loop` (Linux 5.17). The first step is all of most segments.
#[inline(always)]
pub fn looped<const DIRECTION: u32>(walk: &mut Walk) {
    if step::<DIRECTION>(walk) {
        return;
    }
    let walk: *mut Walk = walk;
    // SAFETY: the callback takes exactly this pointer, which outlives the call.
    unsafe { bpf_loop(LOOP_STEPS, on_step::<DIRECTION> as *mut c_void, walk.cast(), 0) };
}

/// Walks with an ordinary loop.
#[inline(always)]
pub fn bounded<const DIRECTION: u32>(walk: &mut Walk) {
    let mut n = 0;
    while n < BOUNDED_STEPS {
        if step::<DIRECTION>(walk) {
            return;
        }
        n += 1;
    }
}
