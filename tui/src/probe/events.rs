//! The event ring, decoded.

use probe_common::event::{
    CLOSED, Event, FOREIGN, GO_CONNECTION, HELLO, HelloEvent, OPENED, STALLED, STIRRED,
};

use super::{GoClaim, SlotId};
use crate::model::sample::Cookie;

/// What the kernel rings about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A connection was given this slot.
    Opened(SlotId),
    /// Its process released the socket.
    Closed(SlotId),
    /// A stream was opened past the thresholds.
    Stalled(SlotId),
    /// The first stream since the ring was armed.
    Stirred,
    /// It is neither HTTP/2 nor TLS: its slot can be freed, if it still has it.
    Foreign(SlotId, Cookie),
    /// A piece of the connection's TLS handshake.
    Hello(Cookie, HelloPiece),
    /// A Go connection whose socket is not known.
    Go(GoClaim),
}

/// A piece of a ClientHello or ServerHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloPiece {
    /// By the client.
    pub sent: bool,
    /// Bytes of the direction before this piece.
    pub offset: usize,
    pub bytes: Vec<u8>,
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
            FOREIGN => Some(Self::Foreign(event.slot, event.cookie)),
            HELLO => Self::hello(record),
            GO_CONNECTION => Some(Self::Go(GoClaim {
                pid: event.slot,
                object: event.cookie,
                descriptor: i32::try_from(event.value).ok()?,
            })),
            _ => None,
        }
    }

    fn hello(record: &[u8]) -> Option<Self> {
        if record.len() < size_of::<HelloEvent>() {
            return None;
        }
        // SAFETY: long enough, and any bit pattern is a HelloEvent.
        let event = unsafe { record.as_ptr().cast::<HelloEvent>().read_unaligned() };
        let bytes = event.bytes.get(..event.length as usize)?.to_vec();
        let piece = HelloPiece { sent: event.direction == 0, offset: event.offset as usize, bytes };
        Some(Self::Hello(event.cookie, piece))
    }
}
