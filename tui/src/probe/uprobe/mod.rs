//! Uprobe programs, loaded and attached by any thread: what takes long is done beside the loop that looks at connections.
//!
//! Not with aya's loader, which knows `perf_event` links only. Removing one of those waits for several grace periods under a
//! lock of the whole kernel: 0.1 s for each probe point, one after the other. A `uprobe_multi` link (Linux 6.6) waits for
//! one, and they wait side by side. Programs are loaded when the first process needs them.

mod links;

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use aya::maps::{Map, MapData};
use aya_obj::Object;

use super::syscall::{self, Target, may_open_events};
use crate::kernel;

pub use links::Links;

/// Before Linux 6.10 a `uprobe_multi` link of a process ran for one thread of it only.
const MULTI_SINCE: (u32, u32) = (6, 10);

/// The uprobe programs of the object, and how they are attached on this kernel.
pub struct Uprobes {
    loader: Mutex<Loader>,
    multi: bool,
}

impl std::fmt::Debug for Uprobes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uprobes").field("multi", &self.multi).finish_non_exhaustive()
    }
}

/// A program in the kernel, and whether it runs when a function returns.
struct Loaded {
    fd: OwnedFd,
    on_return: bool,
}

struct Loader {
    /// Its code names the maps by the numbers of these descriptors.
    object: Object,
    _maps: Maps,
    btf: Option<OwnedFd>,
    loaded: HashMap<String, Loaded>,
}

/// Descriptors of the maps that aya made of an object.
pub(super) struct Maps(Vec<(String, OwnedFd)>);

impl Maps {
    pub(super) fn of(bpf: &aya::Ebpf) -> Result<Self> {
        let duplicate = |(name, map): (&str, &Map)| {
            let fd = data(map)?.fd().as_fd().try_clone_to_owned().ok()?;
            Some((name.to_owned(), fd))
        };
        let maps: Vec<_> = bpf.maps().filter_map(duplicate).collect();
        anyhow::ensure!(maps.len() == bpf.maps().count(), "a map of the probe cannot be shared");
        Ok(Self(maps))
    }
}

/// The kinds of maps that the programs use.
fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data)
        | Map::Stack(data) => Some(data),
        _ => None,
    }
}

impl Uprobes {
    /// Makes the programs of `bytes` use the maps that aya made of the same object. Loads nothing yet.
    pub(super) fn new(bytes: &[u8], maps: Maps) -> Result<Self> {
        let mut object = Object::parse(bytes)?;
        let btf = match aya::features().btf() {
            Some(features) => object.fixup_and_sanitize_btf(features)?.map(aya::Btf::to_bytes),
            None => None,
        };
        // What cannot be loaded without it says so.
        let btf = btf.and_then(|bytes| syscall::load_btf(&bytes).ok());
        let parsed = std::mem::take(&mut object.maps);
        let shared = parsed.iter().filter_map(|(name, map)| {
            let (name, fd) = maps.0.iter().find(|(known, _)| known == name)?;
            Some((name.as_str(), fd.as_raw_fd(), map))
        });
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        object.relocate_maps(shared, &text)?;
        object.relocate_calls(&text)?;
        let loader = Mutex::new(Loader { object, _maps: maps, btf, loaded: HashMap::new() });
        Ok(Self { loader, multi: are_multi_links() })
    }

    /// Loads every program, before the first process is waiting for them. Returns what the kernel refuses; it is said again where
    /// it is needed.
    pub fn prepare(&self) -> Vec<anyhow::Error> {
        use aya_obj::ProgramSection::{UProbe, URetProbe};
        let lock = || self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        let is_uprobe =
            |program: &aya_obj::Program| matches!(program.section, UProbe { .. } | URetProbe { .. });
        let mut names: Vec<String> = lock()
            .object
            .programs
            .iter()
            .filter(|(_, p)| is_uprobe(p))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort_unstable();
        names.iter().filter_map(|name| lock().program(name, self.multi).err()).collect()
    }

    /// Attaches the program `name` to one place in one process.
    ///
    /// # Errors
    /// The kernel refuses the program or the place, or the process is gone.
    pub(super) fn attach(&self, name: &str, target: &Target<'_>) -> Result<OwnedFd> {
        let mut loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        let program = loader.program(name, self.multi)?;
        let link = if self.multi { syscall::multi_link } else { syscall::perf_link };
        link(&program.fd, program.on_return, target)
    }

    /// The programs that are loaded: name, nanoseconds, runs.
    pub(super) fn costs(&self) -> Vec<(String, u64, u64)> {
        let loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = |(name, program): (&String, &Loaded)| {
            let (ns, runs) = syscall::cost(&program.fd).unwrap_or_default();
            (name.clone(), ns, runs)
        };
        loader.loaded.iter().map(cost).collect()
    }
}

impl Loader {
    fn program(&mut self, name: &str, multi: bool) -> Result<&Loaded> {
        use aya_obj::ProgramSection::URetProbe;
        if !self.loaded.contains_key(name) {
            let program = self
                .object
                .programs
                .get(name)
                .with_context(|| format!("the probe object has no program {name}"))?;
            let function = self
                .object
                .functions
                .get(&program.function_key())
                .with_context(|| format!("{name} has no code"))?;
            let fd = syscall::load(name, program, function, self.btf.as_ref(), multi)
                .with_context(|| format!("the kernel refuses the program {name}"))?;
            let on_return = matches!(program.section, URetProbe { .. });
            self.loaded.insert(name.to_owned(), Loaded { fd, on_return });
        }
        self.loaded.get(name).context("just loaded")
    }
}

/// True where uprobes are `uprobe_multi` links; else they are perf events, for which kernels want more rights.
#[must_use]
pub fn are_multi_links() -> bool {
    kernel::version().is_some_and(|version| version >= MULTI_SINCE)
        && std::env::var_os("H2WATCH_UPROBES").is_none_or(|kind| kind != "perf")
}

/// Whether TLS libraries can be looked into with the rights of this thread. `uprobe_multi` links need no more than the
/// programs themselves.
#[must_use]
pub fn may_attach_uprobes() -> bool {
    are_multi_links() || may_open_events()
}
