//! Which TLS object a socket's records come from. Called by egress with every segment of a TLS connection that is not
//! certain yet.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_get_current_task;
use probe_common::slot::{MATCHED_RECORDS, PLAIN_FRAMES, PLAIN_OTHER, Slot};
use probe_common::tls::ObjectKey;
use probe_common::walk::SENT;

use super::{early, plain};
use crate::maps::{SLOTS, TLS_OBJECTS, TLS_TASKS};

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
    if writing.vote(key.name(), connection, index) {
        connection.tls_library = writing.library;
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
