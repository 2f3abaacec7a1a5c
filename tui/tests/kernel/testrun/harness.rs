//! One of the programs, loaded and never attached, and the system call that runs it on a packet.
//!
//! The kernel gives every run a socket of its own, and the program asks for that socket's cookie. Cookies are handed out per
//! CPU, one after the other: on one CPU, the ones that come next are known, and are put into `CONNECTIONS` beforehand.

use super::packets::RUN;
use crate::support::tools;
use aya::maps::{Array, HashMap, MapData};
use aya::programs::CgroupSkb;
use aya::{Ebpf, EbpfLoader};
use probe_common::settings::Settings;
use probe_common::slot::Slot;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// The programs that can drop traffic.
pub(super) const PROGRAMS: [&str; 4] = ["egress", "ingress", "egress_bounded", "ingress_bounded"];

/// Connections at a time; each gets `RUN` packets.
const SLOTS: u32 = 10;
/// Packets before all connections begin anew.
const BATCH: u64 = SLOTS as u64 * RUN as u64;
/// `BPF_PROG_TEST_RUN` of `enum bpf_cmd`.
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const ETHERNET: usize = 14;

/// `struct { ... } test` of `union bpf_attr`, up to `cpu` and its padding.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    pad: u32,
}

pub(super) struct Harness {
    program: RawFd,
    connections: HashMap<MapData, u64, u32>,
    slots: Array<MapData, Slot>,
    known: Vec<u64>,
    runs: u64,
    walked: Walked,
    out: Vec<u8>,
    // Keeps the program loaded.
    _bpf: Ebpf,
}

/// What the slots say about all runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walked {
    pub(super) segments: u64,
    pub(super) frames: u64,
    pub(super) desyncs: u64,
    pub(super) holes: u64,
    pub(super) streams: u64,
}

impl Harness {
    pub(super) fn load(name: &str) -> Self {
        tools::require_root();
        stay_on_this_cpu();
        let mut bpf = EbpfLoader::new()
            .map_max_entries("SLOTS", SLOTS)
            .map_max_entries("CONNECTIONS", BATCH as u32 * 2)
            .map_max_entries("FREE", SLOTS)
            .load(&tools::probe_object())
            .expect("the kernel takes the maps");
        let program: &mut CgroupSkb = bpf.program_mut(name).expect("its name").try_into().expect("its kind");
        program.load().expect("the verifier accepts it");
        let program = program.fd().expect("loaded").as_fd().as_raw_fd();
        let mut settings =
            Array::<_, Settings>::try_from(bpf.take_map("SETTINGS").expect("its name")).expect("an array");
        let values = Settings { armed: 1, ring_min_streams: 2, ring_after_ns: 1, ..Settings::default() };
        settings.set(0, values, 0).expect("one element");
        let connections =
            HashMap::try_from(bpf.take_map("CONNECTIONS").expect("its name")).expect("a hash map");
        let slots = Array::try_from(bpf.take_map("SLOTS").expect("its name")).expect("an array");
        let (known, out, walked) = (Vec::new(), vec![0; 1 << 16], Walked::default());
        Self { program, connections, slots, known, runs: 0, walked, out, _bpf: bpf }
    }

    /// Runs the program once. Its return value, and the packet afterwards (with the Ethernet header that went in: the kernel
    /// takes it off before and puts zeros there after).
    pub(super) fn run(&mut self, packet: &[u8]) -> (u32, Vec<u8>) {
        if self.runs.is_multiple_of(BATCH) {
            self.begin_connections();
            self.expect_cookies();
        }
        self.runs += 1;
        let mut attributes = TestRun {
            prog_fd: self.program as u32,
            data_size_in: packet.len() as u32,
            data_size_out: self.out.len() as u32,
            data_in: packet.as_ptr() as u64,
            data_out: self.out.as_mut_ptr() as u64,
            ..TestRun::default()
        };
        let size = size_of::<TestRun>();
        // SAFETY: both buffers live for the call and have the lengths given; the structure is the kernel's.
        let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut attributes, size) };
        assert_eq!(
            result,
            0,
            "BPF_PROG_TEST_RUN of {} bytes: {}",
            packet.len(),
            std::io::Error::last_os_error()
        );
        let after = &self.out[ETHERNET..attributes.data_size_out as usize];
        (attributes.retval, [&packet[..ETHERNET], after].concat())
    }

    /// Sums over all connections so far.
    pub(super) fn walked(&mut self) -> Walked {
        self.begin_connections();
        self.walked
    }

    /// Adds up what the slots hold and begins new connections in them, half of them already open before.
    fn begin_connections(&mut self) {
        for index in 0..SLOTS {
            let slot = self.slots.get(&index, 0).expect("a slot");
            let both = [&slot.connection.sent, &slot.connection.received];
            self.walked.segments += both.iter().map(|d| d.segments).sum::<u64>();
            self.walked.frames += both.iter().flat_map(|d| d.frames).sum::<u64>();
            self.walked.desyncs += both.iter().map(|d| d.desyncs).sum::<u64>();
            self.walked.holes += slot.sent_lanes.holes + slot.received_lanes.holes;
            self.walked.streams += slot.connection.streams_opened;
            let mut fresh = Slot::default();
            fresh.prepare(index % 2);
            fresh.connection.cookie = u64::from(index) + 1;
            fresh.connection.ring_min_streams = 2;
            fresh.connection.ring_after_ns = 1;
            self.slots.set(index, fresh, 0).expect("a slot");
        }
    }

    /// Puts the cookies that come next on this CPU into the map.
    fn expect_cookies(&mut self) {
        for cookie in self.known.drain(..) {
            // The program itself takes out what turns out to be neither HTTP/2 nor TLS.
            let _ = self.connections.remove(&cookie);
        }
        let now = cookie_of_a_new_socket();
        for (n, cookie) in (now..now + BATCH * 3 / 2).enumerate() {
            let slot = (n / RUN) as u32 % SLOTS;
            self.connections.insert(cookie, slot, 0).expect("the map is large enough");
            self.known.push(cookie);
        }
    }
}

/// The cookie that this CPU hands out now.
fn cookie_of_a_new_socket() -> u64 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    rustix::net::sockopt::socket_cookie(&socket).expect("a cookie")
}

fn stay_on_this_cpu() {
    let cpu = rustix::thread::sched_getcpu();
    let mut only = rustix::thread::CpuSet::new();
    only.set(cpu);
    rustix::thread::sched_setaffinity(None, &only).expect("a CPU that this thread is on");
}
