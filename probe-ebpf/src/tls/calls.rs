//! Uprobes of OpenSSL, BoringSSL and GnuTLS.
//!
//! Plaintext is walked when the call returns, with the count that was really taken: a write that would block is tried again
//! with the same bytes, and counting at the entry found 252 frames where 101 were sent.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use probe_common::loss::{TLS_OBJECTS_FULL, UNASSOCIATED};
use probe_common::tls::{Call, HTTP2};
use probe_common::walk::{RECEIVED, SENT};

use super::{end_write, key, note_write, object, object_of, plain, read_user, resume};
use crate::maps::{SLOTS, TLS_OBJECTS, TLS_READS, TLS_WRITES, lost};

/// Remembers a call until it returns. `count_argument`: which argument is the address of its count.
#[inline(always)]
fn enter(calls: &LruHashMap<u64, Call>, ctx: &ProbeContext, count_argument: Option<usize>) -> Call {
    let argument = |n| ctx.arg::<u64>(n).unwrap_or(0);
    let count_at = count_argument.map_or(0, argument);
    let call =
        Call { object: argument(0), buffer: argument(1), count_at, length: argument(2) as u32, pad: 0 };
    if calls.insert(&bpf_get_current_pid_tgid(), &call, 0).is_err() {
        lost(TLS_OBJECTS_FULL);
    }
    call
}

/// The call of this thread that returns.
#[inline(always)]
fn leave(calls: &LruHashMap<u64, Call>) -> Option<Call> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied at once.
    let call = unsafe { calls.get(&thread) }.copied()?;
    let _ = calls.remove(&thread);
    Some(call)
}

/// How many bytes it moved, 0 when it failed.
#[inline(always)]
fn moved(call: &Call, ctx: &RetProbeContext) -> u32 {
    let result = ctx.ret::<u64>() as i32;
    if call.count_at == 0 {
        return if result > 0 { result as u32 } else { 0 };
    }
    // 1 is success, and the count is a size_t.
    let count = if result == 1 { read_user::<u64>(call.count_at).unwrap_or(0) } else { 0 };
    if count <= u64::from(i32::MAX as u32) { count as u32 } else { 0 }
}

#[inline(always)]
fn write(ctx: &ProbeContext, count_argument: Option<usize>) -> u32 {
    let call = enter(&TLS_WRITES, ctx, count_argument);
    let length = ctx.arg::<u64>(2).unwrap_or(0) as u32;
    // The object must be there when its first record leaves, inside this call.
    if let Some(object) = object_of(ctx, &key(call.object)) {
        note_write(object, call.object, length);
    }
    0
}

#[uprobe]
pub fn tls_write(ctx: ProbeContext) -> u32 {
    write(&ctx, None)
}

#[uprobe]
pub fn tls_write_ex(ctx: ProbeContext) -> u32 {
    write(&ctx, Some(3))
}

#[uprobe]
pub fn tls_write_ex_fifth(ctx: ProbeContext) -> u32 {
    write(&ctx, Some(4))
}

#[uretprobe]
pub fn tls_write_done(ctx: RetProbeContext) -> u32 {
    end_write();
    let Some(call) = leave(&TLS_WRITES) else { return 0 };
    let Some(object) = object(&key(call.object)) else { return 0 };
    let count = moved(&call, &ctx);
    if let Some(buffer) = resume::buffer(object, &call, count) {
        plain::walk::<SENT>(&key(call.object), object, buffer, count);
    }
    0
}

#[uprobe]
pub fn tls_read(ctx: ProbeContext) -> u32 {
    enter(&TLS_READS, &ctx, None);
    0
}

#[uprobe]
pub fn tls_read_ex(ctx: ProbeContext) -> u32 {
    enter(&TLS_READS, &ctx, Some(3));
    0
}

#[uprobe]
pub fn tls_read_ex_fifth(ctx: ProbeContext) -> u32 {
    enter(&TLS_READS, &ctx, Some(4));
    0
}

#[uretprobe]
pub fn tls_read_done(ctx: RetProbeContext) -> u32 {
    let Some(call) = leave(&TLS_READS) else { return 0 };
    let count = moved(&call, &ctx);
    if count != 0
        && let Some(object) = object(&key(call.object))
    {
        plain::walk::<RECEIVED>(&key(call.object), object, call.buffer, count);
    }
    0
}

/// The object ends: what comes at its address later is another connection.
#[uprobe]
pub fn tls_free(ctx: ProbeContext) -> u32 {
    let key = key(ctx.arg::<u64>(0).unwrap_or(0));
    let Some(object) = TLS_OBJECTS.get_ptr_mut(&key) else { return 0 };
    // SAFETY: reads of an object that the process is done with.
    let (state, cookie, slot, waiting) =
        unsafe { ((*object).state, (*object).cookie, (*object).slot, (*object).sent_waiting.count) };
    if cookie != 0 {
        if let Some(slot) = SLOTS.get_ptr_mut(slot) {
            // SAFETY: the connection may go on with another object (never seen, but legal).
            let connection = unsafe { &mut (*slot).connection };
            if connection.cookie == cookie {
                connection.tls_votes = 0;
            }
        }
    } else if state == HTTP2 && waiting != 0 {
        lost(UNASSOCIATED);
    }
    let _ = TLS_OBJECTS.remove(&key);
    0
}
