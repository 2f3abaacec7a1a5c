//! Loads the programs and attaches them to cgroups.

use std::fs::File;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aya::maps::{HashMap, Map, MapData, PerCpuArray, RingBuf, Stack};
use aya::programs::{CgroupSkb, CgroupSock, CgroupSockAddr, ProgramError};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use probe_common::loss;
use probe_common::settings::{SCOPE_CGROUP, SCOPE_PROCESSES, Settings};
use probe_common::slot::Slot;

use super::cgroups::Cgroups;
use super::log::Diagnostics;
use super::refusal::{brief, chain, refused};
use super::slots::FieldValue::{U32, U64};
use super::slots::Mapped;
use super::syscall::{self, CgroupHook};
use super::uprobe::{Maps, Uprobes};
use super::{Notice, Object};
use crate::model::sample::Losses;

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

/// Something that is not done here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degradation {
    /// Of the probe.
    pub part: &'static str,
    pub sentence: String,
    /// What would help.
    pub advice: &'static str,
}

/// The loaded programs and their maps. Dropping it detaches everything.
pub struct Probe {
    pub(super) bpf: Ebpf,
    pub(super) uprobes: Arc<Uprobes>,
    pub(super) slots: Mapped<Slot>,
    pub(super) settings: Mapped<Settings>,
    pub(super) connections: HashMap<MapData, u64, u32>,
    pub(super) free: Stack<MapData, u32>,
    processes: HashMap<MapData, u32, u32>,
    losses: PerCpuArray<MapData, u64>,
    events: RingBuf<MapData>,
    logger: Option<EbpfLogger<Diagnostics>>,
    diagnostics: Diagnostics,
    walkers: Walkers,
    degradations: Vec<Degradation>,
    pub(super) cgroups: Cgroups,
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
        let logger = EbpfLogger::init_with_logger(&mut bpf, diagnostics.clone())
            .map_err(|error| degradations.push(unheard(&error)))
            .ok();
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
            cgroups: Cgroups::default(),
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

    /// Attaches to a cgroup (v2) directory, whole: its sub-cgroups are included. Does nothing where the programs run already.
    ///
    /// # Errors
    /// The directory is no cgroup, or the kernel refuses: then nothing of it stays attached.
    pub fn attach(&mut self, cgroup: &Path) -> Result<()> {
        if self.cgroups.cover(cgroup) {
            return Ok(());
        }
        let at = || format!("attaching to the cgroup {}", cgroup.display());
        let file = File::open(cgroup).with_context(|| format!("opening the cgroup {}", cgroup.display()))?;
        let mut links = Vec::new();
        for (name, hook) in self.hooks() {
            let program =
                self.bpf.program(name).with_context(|| format!("the probe object has no program {name}"))?;
            let program = program.fd().with_context(at)?.as_fd();
            links.push(syscall::cgroup_link(program, file.as_fd(), hook).with_context(at)?);
        }
        self.cgroups.add(cgroup, links)
    }

    /// Closes the links to cgroups that are gone.
    pub fn forget_removed_cgroups(&mut self) {
        self.cgroups.forget_removed();
    }

    /// The programs that every attached cgroup has, and where they hang.
    pub(super) fn hooks(&self) -> [(&'static str, CgroupHook); 5] {
        [
            (self.walkers.egress, CgroupHook::Egress),
            (self.walkers.ingress, CgroupHook::Ingress),
            ("connect4", CgroupHook::Connect4),
            ("connect6", CgroupHook::Connect6),
            ("release", CgroupHook::SockRelease),
        ]
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
            connections_full: sum(loss::CONNECTIONS_FULL),
            ring_full: sum(loss::RING_FULL),
            frame_budget: sum(loss::FRAME_BUDGET),
            unreadable_segments: sum(loss::UNREADABLE_SEGMENT),
            unassociated: sum(loss::UNASSOCIATED),
            tls_objects_full: sum(loss::TLS_OBJECTS_FULL),
            unreadable_memory: sum(loss::UNREADABLE_MEMORY),
            contended_segments: sum(loss::CONTENDED_SEGMENT),
        }
    }

    /// What is not done here.
    #[must_use]
    pub fn degradations(&self) -> &[Degradation] {
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

/// What the kernel programs say is not read.
fn unheard(error: &dyn std::error::Error) -> Degradation {
    Degradation {
        part: "messages",
        sentence: format!("messages of the kernel programs are not read: {}", chain(error)),
        advice: "losses are counted all the same; please report it",
    }
}

/// Loads the walkers with `bpf_loop`, or the bounded ones where the kernel refuses those.
fn load_walkers(bpf: &mut Ebpf, degradations: &mut Vec<Degradation>) -> Result<Walkers> {
    let mut bounded = |bpf: &mut Ebpf, sentence| {
        load_pair(bpf, BOUNDED).map_err(|(name, error)| refused(name, &error))?;
        let advice = "Linux 5.17 or newer has no such limit";
        degradations.push(Degradation { part: "walker", sentence, advice });
        Ok(BOUNDED)
    };
    // For testing the older kernels' walker on a newer one.
    if std::env::var_os("H2WATCH_WALKER").is_some_and(|walker| walker == "bounded") {
        return bounded(bpf, "H2WATCH_WALKER asks for the bounded frame walker".to_owned());
    }
    match load_pair(bpf, LOOPED) {
        Ok(()) => Ok(LOOPED),
        Err((_, error)) => bounded(
            bpf,
            format!(
                "this kernel does not take the unbounded frame walker ({}): segments with many frames are walked in part, and \
             counted (bpf_loop needs Linux 5.17)",
                brief(&error)
            ),
        ),
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
