//! The BPF maps that a process holds, read byte by byte through the bpf system call: all that the kernel keeps for it.

use super::leftovers::held;
use super::tools;
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_GET_NEXT_KEY: i32 = 4;
const MAP_GET_FD_BY_ID: i32 = 14;
const OBJ_GET_INFO_BY_FD: i32 = 15;

const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PERCPU_ARRAY: u32 = 6;
const LRU_HASH: u32 = 9;
const STACK: u32 = 23;
const RINGBUF: u32 = 27;

/// What one map held.
#[derive(Debug)]
pub(crate) struct Dump {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The head of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Info {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: [u8; 16],
}

/// Everything in every map that `pid` holds itself, or that one of its programs uses.
pub(crate) fn dump_maps_of(pid: u32) -> Vec<Dump> {
    let ids = map_ids(pid);
    assert!(!ids.is_empty(), "process {pid} holds no map");
    ids.into_iter().map(dump).collect()
}

fn map_ids(pid: u32) -> BTreeSet<u32> {
    let mut ids = held(&pid.to_string(), "map_id:");
    for program in held(&pid.to_string(), "prog_id:") {
        let shown = tools::run("bpftool", &["-j", "prog", "show", "id", &program.to_string()]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("bpftool prints JSON");
        let used = shown["map_ids"].as_array().into_iter().flatten();
        ids.extend(used.filter_map(|id| u32::try_from(id.as_u64()?).ok()));
    }
    ids
}

fn dump(id: u32) -> Dump {
    let map = Map::open(id);
    let name = String::from_utf8_lossy(&map.info.name).trim_end_matches('\0').to_owned();
    let bytes = match map.info.kind {
        ARRAY | PERCPU_ARRAY => map.elements(),
        HASH | LRU_HASH => map.entries(),
        RINGBUF => map.ring(),
        // Numbers of free slots: nothing else fits in.
        STACK if map.info.value_size == 4 => Vec::new(),
        kind => panic!("{name}: maps of type {kind} are not read here: teach it"),
    };
    Dump { name, bytes }
}

struct Map {
    fd: OwnedFd,
    info: Info,
}

impl Map {
    fn open(id: u32) -> Self {
        let mut attributes = [u64::from(id), 0];
        let fd = bpf(MAP_GET_FD_BY_ID, &mut attributes)
            .unwrap_or_else(|error| panic!("map {id} cannot be opened: {error}"));
        // SAFETY: the kernel has just made this descriptor for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut info = Info::default();
        let mut attributes =
            [fd.as_raw_fd() as u64 | (size_of::<Info>() as u64) << 32, (&raw mut info) as u64];
        bpf(OBJ_GET_INFO_BY_FD, &mut attributes).expect("a map tells of itself");
        Self { fd, info }
    }

    /// One value, of every processor where there is one for each.
    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        let size = self.info.value_size as usize;
        let size =
            if self.info.kind == PERCPU_ARRAY { size.next_multiple_of(8) * processors() } else { size };
        let mut value = vec![0u8; size];
        let mut attributes = [self.fd.as_raw_fd() as u64, key.as_ptr() as u64, value.as_mut_ptr() as u64, 0];
        bpf(MAP_LOOKUP_ELEM, &mut attributes).ok().map(|_| value)
    }

    fn elements(&self) -> Vec<u8> {
        (0..self.info.max_entries)
            .flat_map(|index| self.value(&index.to_ne_bytes()).expect("an element"))
            .collect()
    }

    /// Keys and values. What is removed meanwhile is left out; then the walk begins again, and reads some twice.
    fn entries(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut key = vec![0u8; self.info.key_size as usize];
        let mut before: *const u8 = std::ptr::null();
        for _ in 0..4 * u64::from(self.info.max_entries) {
            let mut next = vec![0u8; key.len()];
            let mut attributes = [self.fd.as_raw_fd() as u64, before as u64, next.as_mut_ptr() as u64];
            if bpf(MAP_GET_NEXT_KEY, &mut attributes).is_err() {
                break;
            }
            bytes.extend(self.value(&next).into_iter().flatten());
            bytes.extend_from_slice(&next);
            key = next;
            before = key.as_ptr();
        }
        bytes
    }

    /// All pages of the ring, also what was read from it long ago.
    fn ring(&self) -> Vec<u8> {
        // SAFETY: takes no pointer.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page size");
        // The first page is the reader's; the second the writer's; then the data, mapped twice.
        let length = page + self.info.max_entries as usize;
        // SAFETY: a new mapping, read only, of the length that the kernel has there.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED,
                self.fd.as_raw_fd(),
                libc::off_t::try_from(page).expect("a page"),
            )
        };
        assert!(memory != libc::MAP_FAILED, "the ring: {}", std::io::Error::last_os_error());
        // SAFETY: mapped above with this length; the kernel may write meanwhile, and any byte is a byte.
        let bytes = unsafe { std::slice::from_raw_parts(memory.cast::<u8>(), length) }.to_vec();
        // SAFETY: mapped above, and not used any more.
        unsafe { libc::munmap(memory, length) };
        bytes
    }
}

/// Processors that the machine may have: per-CPU values are that many.
fn processors() -> usize {
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible").expect("sysfs is mounted");
    let last = possible.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<usize>().ok());
    last.expect("a list of processors") + 1
}

/// The system call; `attributes` are the words of `union bpf_attr` for this command.
fn bpf(command: i32, attributes: &mut [u64]) -> std::io::Result<i32> {
    // The kernel takes what is missing at the end for zeros.
    // SAFETY: `attributes` is as long as it is said to be, and holds what `command` takes.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes)) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result as i32) }
}
