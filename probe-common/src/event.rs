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

/// The beginning of a TLS handshake message in the clear.
pub const HELLO: u32 = 7;
/// A Go `tls.Conn` was met: where its net.Conn claims to keep the file descriptor. `value`: the descriptor; `cookie`: the
/// address of the object; `slot`: the process id.
pub const GO_CONNECTION: u32 = 8;

/// Bytes of one `HelloEvent`.
pub const HELLO_BYTES: usize = 512;

/// A piece of the first TLS record of a direction: ClientHello or ServerHello, nothing that is ever encrypted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HelloEvent {
    pub kind: u32,
    pub slot: u32,
    pub cookie: u64,
    /// Bytes of the stream before this piece.
    pub offset: u32,
    pub length: u32,
    /// 0: sent by the client, 1: received.
    pub direction: u32,
    pub pad: u32,
    pub bytes: [u8; HELLO_BYTES],
}

const _: () = assert!(size_of::<HelloEvent>() == 32 + HELLO_BYTES);

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
