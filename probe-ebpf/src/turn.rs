//! One processor at a time: segments of one connection may arrive on several processors at once, because ingress hooks run
//! before the socket is locked.
//!
//! A lock with the one atomic operation that every supported kernel has: adding without fetching. Whoever adds one and then
//! reads exactly one is alone; who reads more steps back and tries again. Two that add at the same time may both step back,
//! never both go on, because each one's read comes after its own addition in the order of that one variable.

use core::arch::asm;

/// Tries; another processor is done within microseconds.
const TRIES: u32 = 2048;

#[inline(always)]
fn add(turn: *mut u64, n: i64) {
    // SAFETY: the caller's pointer into a map value; the instruction is BPF_ATOMIC | BPF_ADD, in every kernel that has BPF.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) turn, in(reg) n) };
}

/// Takes the turn; false when it could not be had. Give it back with `release`.
#[inline(always)]
pub fn take(turn: *mut u64) -> bool {
    let mut n = 0;
    while n < TRIES {
        add(turn, 1);
        // SAFETY: valid for reads.
        if unsafe { turn.read_volatile() } == 1 {
            return true;
        }
        add(turn, -1);
        n += 1;
    }
    false
}

/// Gives the turn back.
#[inline(always)]
pub fn release(turn: *mut u64) {
    add(turn, -1);
}
