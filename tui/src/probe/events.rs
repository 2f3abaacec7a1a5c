//! The event ring, decoded.

use probe_common::event::{CLOSED, Event, FOREIGN, OPENED, STALLED, STIRRED};

use super::SlotId;

/// What the kernel rings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A connection was given this slot.
    Opened(SlotId),
    /// Its process released the socket.
    Closed(SlotId),
    /// A stream was opened past the thresholds.
    Stalled(SlotId),
    /// The first stream since the ring was armed.
    Stirred,
    /// It is neither HTTP/2 nor TLS: the slot can be freed.
    Foreign(SlotId),
}

impl Notice {
    /// Decodes one ring record; `None` for a kind that this version does not know.
    pub(super) fn decode(record: &[u8]) -> Option<Self> {
        if record.len() < size_of::<Event>() {
            return None;
        }
        // SAFETY: long enough, and any bit pattern is an Event; the ring gives no alignment beyond 8.
        let event = unsafe { record.as_ptr().cast::<Event>().read_unaligned() };
        match event.kind {
            OPENED => Some(Self::Opened(event.slot)),
            CLOSED => Some(Self::Closed(event.slot)),
            STALLED => Some(Self::Stalled(event.slot)),
            STIRRED => Some(Self::Stirred),
            FOREIGN => Some(Self::Foreign(event.slot)),
            _ => None,
        }
    }
}
