//! The ClientHello and ServerHello of a TLS connection, for user space to read name and protocols from.
//!
//! Only bytes of the first record of each direction leave the kernel, and only when that record is a handshake record: they
//! are never encrypted, and hold nothing of the application.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::SkBuffContext;
use probe_common::event::{HELLO, HELLO_BYTES, HelloEvent};
use probe_common::loss::RING_FULL;
use probe_common::order::Place;
use probe_common::slot::{ORIGIN_CONNECT, Slot};
use probe_common::walk::SENT;

use crate::maps::{EVENTS, lost};

/// A ClientHello with post-quantum key shares is about 2 KiB; of a ServerHello the first bytes are enough.
const MAX_SENT: u32 = 4096;
const MAX_RECEIVED: u32 = 512;
/// Pieces of one segment.
const MAX_PIECES: u32 = 8;

/// Hands on what the segment holds of the first record.
#[inline(always)]
pub fn piece<const DIRECTION: u32>(
    ctx: &SkBuffContext,
    slot: *mut Slot,
    index: u32,
    cookie: u64,
    payload_at: u32,
    place: &Place,
) {
    // SAFETY: the caller's slot; each direction writes its own field.
    let (connection, lane) = unsafe {
        let lanes = if DIRECTION == SENT { &(*slot).sent_lanes } else { &(*slot).received_lanes };
        (&mut (*slot).connection, &lanes.lanes[0])
    };
    if place.lane != 0 || connection.origin != ORIGIN_CONNECT {
        return;
    }
    let offset = lane.next.wrapping_sub(lane.start);
    let end =
        if DIRECTION == SENT { &mut connection.sent_hello_end } else { &mut connection.received_hello_end };
    if *end == 0 {
        *end = if offset == 0 { first_record_end(ctx, payload_at + place.skip, place.len) } else { 1 };
    }
    let limit = if DIRECTION == SENT { MAX_SENT } else { MAX_RECEIVED };
    let end = if *end < limit { *end } else { limit };
    if offset >= end {
        return;
    }
    let room = end - offset;
    let total = if place.len < room { place.len } else { room };
    let mut done = 0;
    let mut n = 0;
    while n < MAX_PIECES && done < total {
        let length = if total - done < HELLO_BYTES as u32 { total - done } else { HELLO_BYTES as u32 };
        send(ctx, index, cookie, DIRECTION, payload_at + place.skip + done, offset + done, length);
        done += length;
        n += 1;
    }
}

/// Where the first record ends in its stream; 1 when it is no handshake record (RFC 8446, section 5.1).
#[inline(always)]
fn first_record_end(ctx: &SkBuffContext, at: u32, len: u32) -> u32 {
    let mut header = [0u8; 5];
    // SAFETY: the destination has 5 bytes; the helper checks the source.
    let failed =
        unsafe { bpf_skb_load_bytes(ctx.skb.skb as *const c_void, at, header.as_mut_ptr().cast(), 5) } != 0;
    if failed || len < 5 || header[0] != 22 || header[1] != 3 {
        return 1;
    }
    5 + (u32::from(header[3]) << 8 | u32::from(header[4]))
}

#[inline(always)]
fn send(ctx: &SkBuffContext, slot: u32, cookie: u64, direction: u32, at: u32, offset: u32, length: u32) {
    // SAFETY: a local variable; the verifier wants to see the bounds, the compiler must not drop them.
    let length = unsafe { core::ptr::read_volatile(&raw const length) };
    if length == 0 || length > HELLO_BYTES as u32 {
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<HelloEvent>(0) else {
        lost(RING_FULL);
        return;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: the entry is ours until it is submitted; `length` fits `bytes`, the rest of which is cleared.
    unsafe {
        (*event).kind = HELLO;
        (*event).slot = slot;
        (*event).cookie = cookie;
        (*event).offset = offset;
        (*event).length = length;
        (*event).direction = direction;
        (*event).pad = 0;
        let bytes = (&raw mut (*event).bytes).cast::<c_void>();
        if bpf_skb_load_bytes(ctx.skb.skb as *const c_void, at, bytes, length) != 0 {
            entry.discard(0);
            return;
        }
    }
    entry.submit(0);
}
