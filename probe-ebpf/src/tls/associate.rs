//! Which TLS object a socket's records come from. Called by egress with every segment of a TLS connection that is not
//! certain yet.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_get_current_task;
use probe_common::loss::{TLS_OBJECTS_FULL, UNASSOCIATED};
use probe_common::slot::{Connection, MATCHED_RECORDS, PLAIN_FRAMES, PLAIN_OTHER, Slot};
use probe_common::tls::{Object, ObjectKey};
use probe_common::walk::{RECEIVED, SENT};

use super::{early, plain};
use crate::maps::{SLOTS, TLS_OBJECTS, TLS_TASKS, lost};

/// Matches the application records that began in the segment with the writes of the current task.
#[inline(always)]
pub fn records(index: u32, slot: *mut Slot) {
    // SAFETY: the caller's slot; only egress touches these fields.
    let connection = unsafe { &mut (*slot).connection };
    let count = connection.record_count;
    if count == 0 {
        return;
    }
    connection.record_count = 0;
    let mut n = 0;
    while n < MATCHED_RECORDS as u32 && n < count {
        match_record(index, u32::from(connection.record_lengths[n as usize & (MATCHED_RECORDS - 1)]));
        n += 1;
    }
}

/// Counts a vote; true when the object belongs to the connection now and did not before. What that takes back is counted.
#[inline(always)]
pub fn vote(name: u64, writing: &mut Object, connection: &mut Connection, index: u32) -> bool {
    let before = writing.cookie;
    let had_it = connection.tls_object == name && connection.sent_plain_used == PLAIN_FRAMES;
    if !writing.vote(name, connection, index) {
        return false;
    }
    connection.tls_library = writing.library;
    if before != 0 {
        // What it wrote was counted for another connection.
        lost(UNASSOCIATED);
        plain::miss::<SENT>(index);
        plain::miss::<RECEIVED>(index);
    } else if had_it {
        // It was pushed out of the table.
        lost(TLS_OBJECTS_FULL);
    }
    true
}

/// One record of `payload` bytes. A global function: verified once, whatever calls it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn match_record(index: u32, payload: u32) -> u32 {
    // SAFETY: takes no argument.
    let current = unsafe { bpf_get_current_task() };
    let Some(task) = TLS_TASKS.get_ptr_mut(&current) else { return 0 };
    // SAFETY: a task runs on one CPU at a time.
    let Some(written) = (unsafe { (*task).writer_of(payload, bpf_ktime_get_ns()) }) else { return 0 };
    let key = ObjectKey { address: written.object, tgid: written.tgid, pad: 0 };
    let Some(object) = TLS_OBJECTS.get_ptr_mut(&key) else { return 0 };
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return 0 };
    // SAFETY: the slot that egress walks, and an object that the current task writes to.
    let (writing, connection) = unsafe { (&mut *object, &mut (*slot).connection) };
    if vote(key.name(), writing, connection, index) {
        // What the client wrote before its socket was known.
        if writing.sent_waiting.count != 0 {
            connection.sent_plain_used = PLAIN_FRAMES;
        }
        plain::account_waiting::<SENT>(writing, index);
        early::account(object, index);
    }
    if writing.cookie == connection.cookie && writing.is_refuted() {
        connection.sent_plain_used = PLAIN_OTHER;
    }
    1
}
