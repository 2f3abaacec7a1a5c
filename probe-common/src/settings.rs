//! What user space tells the kernel programs: the value of the one-element, memory-mapped `SETTINGS` array.

/// `scope`: every client socket of the cgroup is watched.
pub const SCOPE_CGROUP: u32 = 0;
/// `scope`: only sockets of processes in the `PROCESSES` map.
pub const SCOPE_PROCESSES: u32 = 1;

/// Settings; user space writes, the kernel reads (and clears `armed`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// `ABI_VERSION` of the object, written by the kernel side at build time through the `ABI` global; user space refuses
    /// another one before it attaches anything.
    pub abi_version: u32,
    pub scope: u32,
    /// Defaults for the slots of new connections, see `Slot`.
    pub ring_after_ns: u64,
    pub ring_min_streams: u32,
    /// 1: the next stream that is opened rings once and sets this to 0. User space sets it when nothing waits, so that it
    /// can sleep without missing the first stream.
    pub armed: u32,
    /// 1: every frame header is also sent to the ring (for recordings).
    pub trace_frames: u32,
    /// Written by the kernel: highest index of `SLOTS` in use so far, plus one. Free slots are taken lowest first.
    pub slots_used: u32,
}

const _: () = assert!(size_of::<Settings>() == 32);
