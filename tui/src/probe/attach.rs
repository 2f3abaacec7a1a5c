//! Loads the programs and attaches them to cgroups.

use std::fs::File;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aya::maps::{HashMap, Map, MapData, PerCpuArray, RingBuf, Stack};
use aya::programs::{
    CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, ProgramError,
};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use probe_common::loss;
use probe_common::settings::{SCOPE_CGROUP, SCOPE_PROCESSES, Settings};
use probe_common::slot::{COMM_LEN, Connection, FAMILY_INET, FAMILY_INET6, ORIGIN_SEEDED, Slot};

use super::log::Diagnostics;
use super::refusal::{brief, chain, refused};
use super::slots::FieldValue::{U32, U64};
use super::slots::Mapped;
use super::uprobe::{Maps, Uprobes};
use super::{Notice, Object, SlotId, read};
use crate::diag::Socket;
use crate::model::sample::{Losses, Reading};

/// Which sockets of the attached cgroups are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All client sockets.
    Cgroup,
    /// Those of the processes given with `watch_process`.
    Processes,
}

/// How the probe is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub max_connections: u32,
    pub scope: Scope,
    /// When the kernel rings by itself.
    pub ring_after: Duration,
    pub ring_min_streams: u32,
    /// TLS libraries of processes will be probed.
    pub tls: bool,
}

/// The loaded programs and their maps. Dropping it detaches everything.
pub struct Probe {
    pub(super) bpf: Ebpf,
    pub(super) uprobes: Arc<Uprobes>,
    pub(super) slots: Mapped<Slot>,
    settings: Mapped<Settings>,
    pub(super) connections: HashMap<MapData, u64, u32>,
    free: Stack<MapData, u32>,
    processes: HashMap<MapData, u32, u32>,
    losses: PerCpuArray<MapData, u64>,
    events: RingBuf<MapData>,
    logger: Option<EbpfLogger<Diagnostics>>,
    diagnostics: Diagnostics,
    walkers: Walkers,
    degradations: Vec<String>,
    /// Connections that were open already and for which there was no slot: the kernel does not know of them.
    seeds_refused: u64,
    /// By inode.
    pub(super) attached: std::collections::HashMap<u64, PathBuf>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("walkers", &self.walkers).finish_non_exhaustive()
    }
}

/// Names of the cgroup_skb programs that this kernel accepted.
#[derive(Clone, Copy, Debug)]
struct Walkers {
    egress: &'static str,
    ingress: &'static str,
}

/// TLS objects that are remembered: 29 MiB. More connections than that are rare in one target, and only the longest idle ones
/// would have to be joined anew.
const MAX_TLS_OBJECTS: u32 = 16_384;

const LOOPED: Walkers = Walkers { egress: "egress", ingress: "ingress" };
const BOUNDED: Walkers = Walkers { egress: "egress_bounded", ingress: "ingress_bounded" };

impl Probe {
    /// Loads the object into the kernel; nothing is attached yet.
    ///
    /// # Errors
    /// The object does not fit, or the kernel refuses it; the error says which program and what the verifier said.
    pub fn load(object: &Object, setup: &Setup) -> Result<Self> {
        let entries = setup.max_connections;
        let tls = |entries: u32| if setup.tls { entries.max(64) } else { 1 };
        let mut bpf = EbpfLoader::new()
            .map_max_entries("SLOTS", entries)
            .map_max_entries("CONNECTIONS", entries)
            .map_max_entries("FREE", entries)
            .map_max_entries("TLS_OBJECTS", tls(entries.min(MAX_TLS_OBJECTS)))
            .map_max_entries("TLS_DESCRIPTORS", tls(1024))
            .map_max_entries("TLS_TASKS", tls(4096))
            .map_max_entries("TLS_WRITES", tls(4096))
            .map_max_entries("TLS_READS", tls(4096))
            .load(&object.bytes)
            .map_err(|error| {
                anyhow::anyhow!("the kernel does not take the probe's maps: {}", chain(&error))
            })?;
        let mut degradations = Vec::new();
        let walkers = load_walkers(&mut bpf, &mut degradations)?;
        for name in ["connect4", "connect6"] {
            let program: &mut CgroupSockAddr = program(&mut bpf, name)?;
            program.load().map_err(|error| refused(name, &error))?;
        }
        let release: &mut CgroupSock = program(&mut bpf, "release")?;
        release.load().map_err(|error| refused("release", &error))?;

        let uprobes = Arc::new(Uprobes::new(&object.bytes, Maps::of(&bpf)?)?);
        let diagnostics = Diagnostics::default();
        let logger = EbpfLogger::init_with_logger(&mut bpf, diagnostics.clone()).ok();
        let slots = Mapped::new(map_fd(&bpf, "SLOTS")?, entries as usize)?;
        let settings = Mapped::new(map_fd(&bpf, "SETTINGS")?, 1)?;
        let mut probe = Self {
            slots,
            settings,
            connections: HashMap::try_from(take(&mut bpf, "CONNECTIONS")?)?,
            free: Stack::try_from(take(&mut bpf, "FREE")?)?,
            processes: HashMap::try_from(take(&mut bpf, "PROCESSES")?)?,
            losses: PerCpuArray::try_from(take(&mut bpf, "LOSSES")?)?,
            events: RingBuf::try_from(take(&mut bpf, "EVENTS")?)?,
            bpf,
            uprobes,
            logger,
            diagnostics,
            walkers,
            degradations,
            seeds_refused: 0,
            attached: std::collections::HashMap::new(),
        };
        probe.prepare(setup)?;
        Ok(probe)
    }

    fn prepare(&mut self, setup: &Setup) -> Result<()> {
        let scope = match setup.scope {
            Scope::Cgroup => SCOPE_CGROUP,
            Scope::Processes => SCOPE_PROCESSES,
        };
        self.settings.set(offset_of!(Settings, scope), U32(scope));
        let after = u64::try_from(setup.ring_after.as_nanos()).unwrap_or(u64::MAX);
        self.settings.set(offset_of!(Settings, ring_after_ns), U64(after));
        self.settings.set(offset_of!(Settings, ring_min_streams), U32(setup.ring_min_streams));
        // Highest first, so that the lowest index is on top: only slots below `slots_used` are ever looked at.
        for index in (0..setup.max_connections).rev() {
            self.free.push(index, 0).context("filling the list of free slots")?;
        }
        Ok(())
    }

    /// Attaches to a cgroup (v2) directory, whole: its sub-cgroups are included. Attaching twice does nothing.
    ///
    /// # Errors
    /// The directory is no cgroup, or the kernel refuses.
    pub fn attach(&mut self, cgroup: &Path) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let file = File::open(cgroup).with_context(|| format!("opening the cgroup {}", cgroup.display()))?;
        let inode = file.metadata().map(|meta| meta.ino()).unwrap_or_default();
        if self.attached.insert(inode, cgroup.to_owned()).is_some() {
            return Ok(());
        }
        let at = || format!("attaching to the cgroup {}", cgroup.display());
        for (name, direction) in [
            (self.walkers.egress, CgroupSkbAttachType::Egress),
            (self.walkers.ingress, CgroupSkbAttachType::Ingress),
        ] {
            let program: &mut CgroupSkb = program(&mut self.bpf, name)?;
            program.attach(&file, direction, CgroupAttachMode::Single).with_context(at)?;
        }
        for name in ["connect4", "connect6"] {
            let program: &mut CgroupSockAddr = program(&mut self.bpf, name)?;
            program.attach(&file, CgroupAttachMode::Single).with_context(at)?;
        }
        let release: &mut CgroupSock = program(&mut self.bpf, "release")?;
        release.attach(&file, CgroupAttachMode::Single).with_context(at)?;
        Ok(())
    }

    /// The programs that every attached cgroup has.
    pub(super) fn required_programs(&self) -> [&'static str; 5] {
        [self.walkers.egress, self.walkers.ingress, "connect4", "connect6", "release"]
    }

    /// Adds a process to a `Scope::Processes` probe.
    ///
    /// # Errors
    /// The map is full.
    pub fn watch_process(&mut self, pid: u32) -> Result<()> {
        self.processes.insert(pid, 1, 0).with_context(|| format!("process {pid} is one too many to watch"))
    }

    /// No more connections of this process are watched.
    pub fn forget_process(&mut self, pid: u32) {
        let _ = self.processes.remove(&pid);
    }

    /// Starts to watch a connection that was open already. Returns its slot, or `None` when it is watched already or there
    /// is no free slot.
    pub fn seed(&mut self, socket: &Socket, pid: u32, now_ns: u64) -> Option<SlotId> {
        if self.connections.get(&socket.cookie, 0).is_ok() {
            return None;
        }
        let Ok(index) = self.free.pop(0) else {
            self.seeds_refused += 1;
            return None;
        };
        let mut slot = Slot::default();
        slot.prepare(ORIGIN_SEEDED);
        let settings = self.settings.read(0)?;
        let connection = &mut slot.connection;
        identify(connection, socket);
        connection.cookie = socket.cookie;
        connection.opened_ns = now_ns;
        connection.tgid = pid;
        connection.ring_after_ns = settings.ring_after_ns;
        connection.ring_min_streams = settings.ring_min_streams;
        // SAFETY: the slot is free: no program knows its index yet.
        self.slots.update(index, |place| unsafe { place.write(slot) });
        if index >= settings.slots_used {
            self.settings.set(offset_of!(Settings, slots_used), U32(index + 1));
        }
        if self.connections.insert(socket.cookie, index, 0).is_err() {
            self.free(index);
            self.seeds_refused += 1;
            return None;
        }
        Some(index)
    }

    /// True when a slot has this connection, open or closed and not read yet.
    #[must_use]
    pub fn remembers(&self, cookie: u64) -> bool {
        self.used().any(|slot| self.slots.read_cookie(slot) == cookie)
    }

    /// Every slot in use, as its index.
    pub fn used(&self) -> impl Iterator<Item = SlotId> + '_ {
        let used = self.settings.read(0).map_or(0, |settings| settings.slots_used);
        (0..used.min(u32::try_from(self.slots.len()).unwrap_or(u32::MAX)))
            .filter(|&index| self.slots.read_cookie(index) != 0)
    }

    /// Reads a slot; `None` when it is free.
    #[must_use]
    pub fn read(&self, slot: SlotId) -> Option<Reading> {
        self.slots.read_settled(slot).and_then(|slot| read::reading(&slot))
    }

    /// The kernel no longer finds the slot of this connection; give it back at the next look, when nothing writes to it.
    pub fn disregard(&mut self, cookie: u64) {
        let _ = self.connections.remove(&cookie);
    }

    /// Gives the slot of a connection back, if it still has one.
    pub fn forget_connection(&mut self, cookie: u64) {
        if let Ok(slot) = self.connections.get(&cookie, 0) {
            self.free(slot);
        }
    }

    /// Gives a slot back, after its last reading. The connection is no longer watched.
    pub fn free(&mut self, slot: SlotId) {
        if let Some(cookie) = self.slots.read(slot).map(|slot| slot.connection.cookie) {
            if self.connections.get(&cookie, 0).is_ok_and(|index| index == slot) {
                let _ = self.connections.remove(&cookie);
            }
            self.slots.zero(slot);
            let _ = self.free.push(slot, 0);
        }
    }

    /// Lets the kernel ring when the next stream is opened.
    pub fn arm(&self) {
        self.settings.set(offset_of!(Settings, armed), U32(1));
    }

    /// The next event, if there is one.
    pub fn next_notice(&mut self) -> Option<Notice> {
        loop {
            let record = self.events.next()?;
            if let Some(notice) = Notice::decode(&record) {
                return Some(notice);
            }
        }
    }

    /// A descriptor of the ring, readable when there are events.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn events_fd(&self) -> Result<OwnedFd> {
        self.events.as_fd().try_clone_to_owned().context("duplicating the descriptor of the event ring")
    }

    /// Sums of what was lost.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let sum = |index| self.losses.get(&index, 0).map_or(0, |cpus| cpus.iter().sum());
        Losses {
            connections_full: sum(loss::CONNECTIONS_FULL) + self.seeds_refused,
            ring_full: sum(loss::RING_FULL),
            frame_budget: sum(loss::FRAME_BUDGET),
            unreadable_segments: sum(loss::UNREADABLE_SEGMENT),
            unassociated: sum(loss::UNASSOCIATED),
            tls_objects_full: sum(loss::TLS_OBJECTS_FULL),
            unreadable_memory: sum(loss::UNREADABLE_MEMORY),
            contended_segments: sum(loss::CONTENDED_SEGMENT),
        }
    }

    /// What this kernel cannot do, one sentence each.
    #[must_use]
    pub fn degradations(&self) -> &[String] {
        &self.degradations
    }

    /// What the kernel programs logged since the last call.
    pub fn diagnostics(&mut self) -> Vec<String> {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        self.diagnostics.take()
    }
}

/// Addresses as `Connection` keeps them.
fn identify(connection: &mut Connection, socket: &Socket) {
    use std::net::IpAddr;
    let bytes = |address: IpAddr| {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes = v6.octets(),
        }
        bytes
    };
    connection.family = if socket.remote.is_ipv4() { FAMILY_INET } else { FAMILY_INET6 };
    connection.local_addr = bytes(socket.local.ip());
    connection.remote_addr = bytes(socket.remote.ip());
    connection.local_port = socket.local.port();
    connection.remote_port = socket.remote.port();
    connection.comm = [0; COMM_LEN];
}

/// Loads the walkers with `bpf_loop`, or the bounded ones where the kernel refuses those.
fn load_walkers(bpf: &mut Ebpf, degradations: &mut Vec<String>) -> Result<Walkers> {
    // For testing the older kernels' walker on a newer one.
    if std::env::var_os("H2WATCH_WALKER").is_some_and(|walker| walker == "bounded") {
        load_pair(bpf, BOUNDED).map_err(|(name, error)| refused(name, &error))?;
        degradations.push("H2WATCH_WALKER asks for the bounded frame walker".to_owned());
        return Ok(BOUNDED);
    }
    match load_pair(bpf, LOOPED) {
        Ok(()) => Ok(LOOPED),
        Err((name, error)) => {
            load_pair(bpf, BOUNDED).map_err(|(name, error)| refused(name, &error))?;
            degradations.push(format!(
                "this kernel does not take the unbounded frame walker ({}): segments with many frames are walked in part, \
                 and counted (bpf_loop needs Linux 5.17)",
                brief(name, &error)
            ));
            Ok(BOUNDED)
        }
    }
}

fn load_pair(bpf: &mut Ebpf, walkers: Walkers) -> Result<(), (&'static str, ProgramError)> {
    for name in [walkers.egress, walkers.ingress] {
        let program: &mut CgroupSkb = program(bpf, name).map_err(|_| (name, ProgramError::NotLoaded))?;
        program.load().map_err(|error| (name, error))?;
    }
    Ok(())
}

pub(super) fn program<'a, P>(bpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = bpf.program_mut(name).with_context(|| format!("the probe object has no program {name}"))?;
    program.try_into().with_context(|| format!("program {name} is of another kind"))
}

fn take(bpf: &mut Ebpf, name: &str) -> Result<Map> {
    bpf.take_map(name).with_context(|| format!("the probe object has no map {name}"))
}

fn map_fd<'a>(bpf: &'a Ebpf, name: &str) -> Result<BorrowedFd<'a>> {
    match bpf.map(name) {
        Some(Map::Array(data)) => Ok(data.fd().as_fd()),
        _ => bail!("the probe object has no array {name}"),
    }
}
