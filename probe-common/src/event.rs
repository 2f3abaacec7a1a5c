//! Records of the event ring. Each begins with its kind; the sizes tell them apart again.

/// A connection was given a slot. `value`: the slot.
pub const OPENED: u32 = 1;
/// The process released the socket. `value`: the slot.
pub const CLOSED: u32 = 2;
/// A stream was opened past the thresholds of its slot. `value`: streams unanswered.
pub const STALLED: u32 = 3;
/// The first stream since user space armed the ring. `value`: the slot.
pub const STIRRED: u32 = 4;
/// A frame header (`Settings::trace_frames`).
pub const FRAME: u32 = 5;
/// The connection turned out to be something else than HTTP/2 or TLS; its slot is free again.
pub const FOREIGN: u32 = 6;

/// What happened to a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    pub kind: u32,
    pub slot: u32,
    pub cookie: u64,
    /// CLOCK_MONOTONIC nanoseconds.
    pub at_ns: u64,
    pub value: u64,
}

/// A frame header on the wire; `Event::kind` is `FRAME`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameEvent {
    pub kind: u32,
    pub slot: u32,
    pub cookie: u64,
    pub at_ns: u64,
    pub length: u32,
    pub stream: u32,
    pub frame_kind: u8,
    pub flags: u8,
    /// 0: sent by the client, 1: received.
    pub direction: u8,
    pub pad: u8,
    /// See `lane::Sink::frame`, lower half.
    pub value: u32,
}

const _: () = assert!(size_of::<Event>() == 32);
const _: () = assert!(size_of::<FrameEvent>() == 40);
