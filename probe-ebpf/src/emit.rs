//! Records for the event ring.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_common::event::Event;
use probe_common::loss::RING_FULL;

use crate::maps::{EVENTS, lost};

/// Sends one event; a full ring is counted.
#[inline(always)]
pub fn event(kind: u32, slot: u32, cookie: u64, value: u64) {
    // SAFETY: takes no argument.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    match EVENTS.reserve::<Event>(0) {
        Some(mut entry) => {
            entry.write(Event { kind, slot, cookie, at_ns, value });
            entry.submit(0);
        }
        None => lost(RING_FULL),
    }
}
