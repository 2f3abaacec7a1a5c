//! What was read before the socket was known.
//!
//! Clients may read the server's SETTINGS, and whatever else its first flight holds, before their own first record names the
//! socket. Who binds the object then accounts that at once: a server that says no more would otherwise not have been heard.
//! Libraries read in one thread while another one writes, so reads and this take turns.

use probe_common::slot::Slot;
use probe_common::tls::Object;
use probe_common::walk::RECEIVED;

use super::plain;
use crate::maps::SLOTS;
use crate::turn;

/// Looks of a read at the turn, some 20 microseconds: who binds accounts at most `WAITING` units meanwhile.
const LOOKS: u32 = 1024;

fn turn_of(object: *mut Object) -> *mut u64 {
    // SAFETY: a field of the caller's object.
    unsafe { &raw mut (*object).read_turn }
}

/// Takes the turn of a read; false when it could not be had. Give it back with `release`.
#[inline(always)]
pub fn take(object: *mut Object) -> bool {
    let mut n = 0;
    while n < LOOKS {
        if turn::try_once(turn_of(object)) {
            return true;
        }
        n += 1;
    }
    false
}

/// Gives the turn back.
#[inline(always)]
pub fn release(object: *mut Object) {
    turn::add(turn_of(object), -1);
}

/// The object belongs to the socket in slot `index` from now on: accounts what was read. A read in progress does it when it
/// ends.
#[inline(always)]
pub fn account(object: *mut Object, index: u32) {
    // SAFETY: the object that the caller binds; a hint only, the turn decides.
    if unsafe { (*object).received_waiting.count } == 0 || !turn::try_once(turn_of(object)) {
        return;
    }
    // SAFETY: as above.
    plain::account_waiting::<RECEIVED>(unsafe { &mut *object }, index);
    if let Some(slot) = SLOTS.get_ptr_mut(index) {
        heard(object, slot);
    }
    release(object);
}

/// The peer is heard by its frames from now on; while their alignment is searched, by its records.
#[inline(always)]
pub fn heard(object: *mut Object, slot: *mut Slot) {
    // SAFETY: the slot that the object is bound to; the field belongs to its received direction.
    unsafe { (*slot).connection.received_plain_used = u32::from((*object).received.aligned()) };
}
