//! One processor at a time: segments of one connection may arrive on several processors at once, because ingress hooks run
//! before the socket is locked.
//!
//! A lock with the one atomic operation that every supported kernel has: adding without fetching. Whoever adds one and then
//! reads exactly one is alone; who reads more steps back and tries again. Two that add at the same time may both step back,
//! never both go on, because each one's read comes after its own addition in the order of that one variable. Who waits only
//! reads, so that the holder keeps its cache line, and tries in rounds that depend on the processor, so that two do not step
//! back in lockstep.
//!
//! A walk takes a microsecond, but its processor may be interrupted (tens of microseconds were measured) or, in a virtual
//! machine, taken away (up to a millisecond). The kernel's own lock of the socket, right behind this hook, is waited for
//! without limit in the same case; here the wait has one.

use core::arch::asm;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use probe_common::order::Lanes;

use crate::maps::SLOTS;

/// The longest wait. The processor does nothing else meanwhile.
const PATIENCE_NS: u64 = 10_000_000;
/// And while the same walk has exhausted somebody's patience already: a holder that does not run at all must not cost the
/// long wait for every segment.
const IMPATIENCE_NS: u64 = 20_000;
/// Looks between two looks at the clock, 2 to 4 microseconds, and how often that: more than fit into `PATIENCE_NS`. Both are
/// walked round by round by the verifier.
const LOOKS: u32 = 2048;
const ROUNDS: u32 = 3500;

#[inline(always)]
pub fn add(turn: *mut u64, n: i64) {
    // SAFETY: the caller's pointer into a map value; the instruction is BPF_ATOMIC | BPF_ADD, in every kernel that has BPF.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) turn, in(reg) n) };
}

#[inline(always)]
pub fn try_once(turn: *mut u64) -> bool {
    add(turn, 1);
    // SAFETY: valid for reads.
    if unsafe { turn.read_volatile() } == 1 {
        return true;
    }
    add(turn, -1);
    false
}

/// Takes the turn of the slot's lanes; false when it could not be had. Give it back with `release`.
#[inline(always)]
pub fn take(lanes: *mut Lanes, index: u32) -> bool {
    // SAFETY: a field of the caller's slot.
    try_once(unsafe { &raw mut (*lanes).turn }) || wait(index) != 0
}

/// Waits for the turn. A global function, as in `tally`: 1 when it was had.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn wait(index: u32) -> u32 {
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return 0 };
    // SAFETY: a field of a slot; only a hint.
    let given_up = unsafe { &raw mut (*slot).received_lanes.given_up };
    // SAFETY: as above.
    let patience = if unsafe { given_up.read_volatile() } == 0 { PATIENCE_NS } else { IMPATIENCE_NS };
    // SAFETY: takes no argument.
    let begun_ns = unsafe { bpf_ktime_get_ns() };
    let mut n = 0;
    while n < ROUNDS {
        if look(index) != 0 {
            return 1;
        }
        // SAFETY: takes no argument.
        if unsafe { bpf_ktime_get_ns() } - begun_ns > patience {
            break;
        }
        n += 1;
    }
    // SAFETY: as above.
    unsafe { given_up.write_volatile(1) };
    0
}

/// Looks whether the turn is free, for a while, and takes it when it is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn look(index: u32) -> u32 {
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return 0 };
    // SAFETY: a field of a slot.
    let turn = unsafe { &raw mut (*slot).received_lanes.turn };
    // SAFETY: takes no argument.
    let processor = unsafe { bpf_get_smp_processor_id() };
    let mut n = 0;
    while n < LOOKS {
        // SAFETY: valid for reads.
        if n & 3 == processor & 3 && unsafe { turn.read_volatile() } == 0 && try_once(turn) {
            return 1;
        }
        n += 1;
    }
    0
}

/// Gives the turn back.
#[inline(always)]
pub fn release(lanes: *mut Lanes) {
    // SAFETY: fields of the caller's slot.
    unsafe {
        (&raw mut (*lanes).given_up).write_volatile(0);
        add(&raw mut (*lanes).turn, -1);
    }
}
