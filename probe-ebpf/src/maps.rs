//! Every map: who writes, who reads, what happens when it is full.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, Stack};
use probe_common::loss;
use probe_common::settings::Settings;
use probe_common::slot::Slot;
use probe_common::tls::{Call, Object, ObjectKey, Process, Task};

/// Memory-mapped into user space (Linux 5.5), so that reading counters costs no system call.
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// The connections. Kernel: one writer per direction. User space: reads in place, zeroes a slot before it is free again.
/// Resized at load to the number of connections wanted.
#[map]
pub static SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Socket cookie -> index into `SLOTS`. Kernel: connect inserts, release removes. User space inserts connections that were
/// open before. Never full before `FREE` is empty.
#[map]
pub static CONNECTIONS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// Indices of free, zeroed slots. User space pushes, connect pops. Empty: the connection is not watched, and counted as lost.
#[map]
pub static FREE: Stack<u32> = Stack::with_max_entries(1, 0);

/// Process ids (tgid) to watch when `Settings::scope` is `SCOPE_PROCESSES`. User space writes. Full: the loader refuses.
#[map]
pub static PROCESSES: HashMap<u32, u32> = HashMap::with_max_entries(4096, 0);

/// One element, memory-mapped. User space writes; the kernel reads, and clears `armed`.
#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What could not be kept, by `probe_common::loss`. Kernel counts, user space sums.
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(loss::COUNT, 0);

/// Openings, closings, stalls. Full: counted as `RING_FULL`; user space finds the slots by looking at all of them.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// TLS objects of watched processes. Kernel only. Full: the object that was used longest ago is forgotten and joins again
/// where it is used next. Resized at load.
#[map]
pub static TLS_OBJECTS: LruHashMap<ObjectKey, Object> = LruHashMap::with_max_entries(1, 0);

/// A blank object: too large for a program's stack.
#[map]
pub static TLS_BLANK: Array<Object> = Array::with_max_entries(1, 0);

/// Kernel task -> its last TLS writes. Uprobes write, egress matches. Full: the task that wrote longest ago is forgotten.
#[map]
pub static TLS_TASKS: LruHashMap<u64, Task> = LruHashMap::with_max_entries(1, 0);

/// Thread -> its TLS write and its TLS read in progress, from the entry probe to the return probe.
#[map]
pub static TLS_WRITES: LruHashMap<u64, Call> = LruHashMap::with_max_entries(1, 0);
#[map]
pub static TLS_READS: LruHashMap<u64, Call> = LruHashMap::with_max_entries(1, 0);

/// Processes with TLS probes. User space writes before it attaches.
#[map]
pub static TLS_PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(4096, 0);

/// Object -> socket cookie, where user space followed a Go connection to its file descriptor and proved the owner.
#[map]
pub static TLS_DESCRIPTORS: LruHashMap<ObjectKey, u64> = LruHashMap::with_max_entries(1, 0);

/// Counts one loss.
#[inline(always)]
pub fn lost(what: u32) {
    if let Some(count) = LOSSES.get_ptr_mut(what) {
        // SAFETY: a per-CPU element; programs of this kind do not interrupt each other on one CPU.
        unsafe { *count += 1 };
    }
}
