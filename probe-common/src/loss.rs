//! Everything that the probe could not keep. Index into the per-CPU `LOSSES` array; user space sums and shows every one.

/// No free slot: a connection is not watched.
pub const CONNECTIONS_FULL: u32 = 0;
/// The event ring was full: an event is missing (counters are not affected).
pub const RING_FULL: u32 = 1;
/// A segment held more frames than this kernel's walker may walk.
pub const FRAME_BUDGET: u32 = 2;
/// A segment's headers could not be read.
pub const UNREADABLE_SEGMENT: u32 = 3;
/// A TLS write or read could not be associated with a socket.
pub const UNASSOCIATED: u32 = 4;
/// A TLS object table was full.
pub const TLS_OBJECTS_FULL: u32 = 5;
/// Memory of the process could not be read at a TLS boundary.
pub const UNREADABLE_MEMORY: u32 = 6;
/// A segment came, or something was read, while another processor walked the same connection for long: its frames are
/// missing, and its direction is inexact.
pub const CONTENDED_SEGMENT: u32 = 7;
/// Number of counters; a power of two.
pub const COUNT: u32 = 16;
