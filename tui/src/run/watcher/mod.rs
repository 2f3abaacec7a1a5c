//! A target under watch: the probe attached to it, its processes followed, and samples of it.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Result;

mod facts;
mod of_target;
mod seed;

use super::clock;
use super::coverage::Coverages;
use super::planning::Planned;
use crate::diag::{Namespaces, Socket};
use crate::export::{Health, ProgramRun};
use crate::model::sample::{Cookie, Owner, Reading, Sample};
use crate::probe::{GoProof, Notice, Object, Probe, ProgramState, Scope, Setup, SlotId};
use crate::target::cgroup::Hierarchy;
use crate::target::identity::Identity;
use crate::target::{Names, Target, process};
use crate::tls::Depth;
use facts::Turns;
pub use facts::Wanted;

/// Different sentences about what could not be seen.
const MAX_WARNINGS: usize = 64;

/// What is needed to begin.
#[derive(Clone, Debug)]
pub struct Settings {
    pub max_connections: u32,
    pub stall_after: Duration,
    pub min_streams: u32,
    /// How deep to look into TLS.
    pub tls: Depth,
    /// It would be deeper if the kernel allowed this process to attach uprobes.
    pub no_uprobes: bool,
    /// Processes of the target that are left alone.
    pub exclude: Option<Names>,
}

const NO_UPROBES: &str = "TLS connections are seen as records only: this kernel does not let h2watch attach uprobes with the rights \
                          that it has (stable kernels before 6.10 want CAP_SYS_ADMIN)";

/// The watch itself.
#[derive(Debug)]
pub struct Watcher {
    probe: Probe,
    target: Target,
    hierarchy: Hierarchy,
    namespaces: Namespaces,
    owners: HashMap<u32, Owner>,
    followed: BTreeSet<u32>,
    turns: Turns,
    coverages: Coverages,
    exclude: Option<Names>,
    /// Slots of excluded processes, which the kernel does not find any more since the last sample: it may have been writing
    /// to them then, so that they were not given back at once.
    leaving: Vec<(SlotId, Cookie)>,
    /// Taken in since the last look at processes, with a process that holds it.
    seeded: Vec<(u32, Socket)>,
    /// Open already, and not taken in because every slot was taken: likewise.
    waiting: Vec<(u32, Socket)>,
    /// How many ever had to wait.
    turned_away: u64,
    /// What of the target cannot be watched now, in sentences.
    refused: BTreeSet<String>,
    /// Sentences about what could not be seen, for the reader.
    warnings: BTreeSet<String>,
    /// Of those, the ones about connections that were not found.
    unfound: BTreeSet<String>,
}

impl Watcher {
    /// Loads the probe, attaches it, and then takes in the connections that are open already: in this order, so that none
    /// slips through between the two.
    ///
    /// # Errors
    /// No rights, no such target, or the kernel refuses.
    pub fn start(target: Target, hierarchy: Hierarchy, settings: &Settings) -> Result<Self> {
        let scope = if target.processes().is_some() { Scope::Processes } else { Scope::Cgroup };
        let setup = Setup {
            max_connections: settings.max_connections,
            scope,
            ring_after: settings.stall_after,
            ring_min_streams: settings.min_streams,
            tls: settings.tls != Depth::Records,
        };
        let probe = Probe::load(&Object::find()?, &setup)?;
        let coverages = Coverages::new(settings.tls, probe.uprobes());
        let mut watcher = Self {
            probe,
            target,
            hierarchy,
            namespaces: Namespaces::default(),
            owners: HashMap::new(),
            followed: BTreeSet::new(),
            turns: Turns::default(),
            coverages,
            exclude: settings.exclude.clone(),
            leaving: Vec::new(),
            seeded: Vec::new(),
            waiting: Vec::new(),
            turned_away: 0,
            refused: BTreeSet::new(),
            warnings: BTreeSet::new(),
            unfound: BTreeSet::new(),
        };
        if settings.no_uprobes {
            watcher.warn(NO_UPROBES.to_owned());
        }
        watcher.attach()?;
        watcher.take_in();
        Ok(watcher)
    }

    /// Attaches to what the target consists of now, and seeds what it has open, for targets that grow. What cannot be watched is
    /// told in `degradations`, and tried again with the next call.
    pub fn follow(&mut self) {
        // It is noted.
        let _ = self.attach();
        self.take_in();
    }

    /// A process is about to become `program`: whatever TLS it may have is probed before it runs.
    pub fn anticipate(&mut self, pid: u32, program: &std::path::Path) {
        self.coverages.anticipate(pid, program);
    }

    /// Looks for new programs and libraries of the processes that are known.
    pub fn look_at_processes(&mut self) {
        for pid in self.pids() {
            self.coverages.look(pid);
        }
    }

    /// Keeps a sentence for the reader. Runs may last for months: there is an end to them.
    pub fn warn(&mut self, sentence: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.insert(sentence);
        }
    }

    /// The same of connections that were open before and were not found.
    fn miss(&mut self, sentence: String) {
        if self.unfound.len() < MAX_WARNINGS {
            self.unfound.insert(sentence.clone());
        }
        self.warn(sentence);
    }

    /// Whether a process is to be left alone.
    fn excludes(&self, comm: &str) -> bool {
        self.exclude.as_ref().is_some_and(|names| names.matches(comm))
    }

    /// The next event of the kernel. Owners are looked up at once: a short-lived process may be gone at the next sample.
    pub fn next_notice(&mut self) -> Option<Notice> {
        let notice = self.probe.next_notice()?;
        match &notice {
            Notice::Opened(slot) => {
                if let Some(reading) = self.probe.read(*slot) {
                    let comm = self.owner(reading.owner.pid).comm.clone();
                    if !self.excludes(&comm) {
                        self.coverages.look(reading.owner.pid);
                    }
                }
            }
            // Unless the same socket was connected anew, to something else.
            Notice::Foreign(slot, cookie) if self.probe.read(*slot).is_none() => {
                self.probe.free(*slot, *cookie);
            }
            Notice::Hello(cookie, piece) => self.coverages.note(*cookie, piece),
            // Their records still vote.
            Notice::Go(claim) => match self.probe.prove_go(claim) {
                Ok(GoProof::Wrapped) => self.coverages.note_wrapped(claim.pid),
                Ok(GoProof::Proven | GoProof::Unwatched) => {}
                Err(_) if !process::exists(claim.pid) => {}
                Err(error) => self
                    .warn(format!("connections of Go programs are bound by their records only: {error:#}")),
            },
            Notice::Foreign(..) | Notice::Closed(_) | Notice::Stalled(_) | Notice::Stirred => {}
        }
        Some(notice)
    }

    /// One look at everything. `wanted`: whose TCP facts it asks for.
    pub fn sample(&mut self, wanted: &Wanted<'_>) -> Sample {
        let now_ns = clock::now_ns();
        let mut readings = Vec::new();
        let mut ended: Vec<(SlotId, Cookie)> = Vec::new();
        for (slot, cookie) in std::mem::take(&mut self.leaving) {
            self.probe.free(slot, cookie);
        }
        let used: Vec<(SlotId, Cookie)> = self.probe.used().collect();
        for (slot, cookie) in used {
            let Some(mut reading) = self.probe.read(slot) else {
                // Foreign, and its event was lost or is still to come.
                ended.push((slot, cookie));
                continue;
            };
            reading.owner = self.owner(reading.owner.pid).clone_with(reading.owner);
            if self.excludes(&reading.owner.comm) {
                self.coverages.close(reading.id);
                self.probe.disregard(reading.id);
                self.leaving.push((slot, cookie));
                continue;
            }
            self.coverages.complete(&self.probe, slot, &mut reading);
            if reading.closed_ns.is_some() {
                self.coverages.close(reading.id);
                ended.push((slot, cookie));
            }
            readings.push(reading);
        }
        for place in self.turns.choose(now_ns, &readings, wanted) {
            self.add_facts(&mut readings[place]);
        }
        for (slot, cookie) in ended {
            self.probe.free(slot, cookie);
        }
        let mut losses = self.probe.losses();
        losses.connections_full += self.turned_away;
        Sample { now_ns, unix_ns: clock::unix_ns(), readings, losses, processes: self.coverages.processes() }
    }

    fn add_facts(&mut self, reading: &mut Reading) {
        if let Ok(facts) = self.namespaces.facts(reading.owner.pid, reading.id, reading.local, reading.remote)
        {
            reading.tcp = facts;
        }
    }

    /// What /proc says of a process, once.
    fn owner(&mut self, pid: u32) -> &Owner {
        let hierarchy = &self.hierarchy;
        self.owners.entry(pid).or_insert_with(|| {
            let cgroup = hierarchy.path_of_process(pid).unwrap_or_default();
            let Identity { container, pod_uid, unit } = Identity::of_cgroup(&cgroup);
            Owner { pid, comm: process::comm(pid).unwrap_or_default(), cgroup, container, pod_uid, unit }
        })
    }

    /// Lets go of what is known of processes and cgroups that are gone.
    pub fn forget_ended(&mut self) {
        self.probe.forget_removed_cgroups();
        self.verify_seeded();
        self.seed_waiting();
        // Also those that never had a connection: their numbers will be given to others.
        let known: BTreeSet<u32> = self.owners.keys().chain(&self.followed).copied().collect();
        for pid in known.into_iter().filter(|&pid| !process::exists(pid)) {
            self.owners.remove(&pid);
            self.followed.remove(&pid);
            self.probe.forget_process(pid);
        }
        let gone: Vec<u32> = self.coverages.pids().filter(|&pid| !process::exists(pid)).collect();
        // Otherwise they stay until the map is full: nothing is wrong with what is seen.
        let _ = self.probe.forget_objects(&gone);
        self.coverages.forget(gone);
        self.coverages.retain(&self.probe.cookies().collect());
        let alive: Vec<u32> = self.owners.keys().copied().collect();
        self.namespaces.retain(alive);
    }

    /// Lets the kernel ring for the next stream.
    pub fn arm(&self) {
        self.probe.arm();
    }

    /// Readable when there are events.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn events_fd(&self) -> Result<OwnedFd> {
        self.probe.events_fd()
    }

    /// State of the kernel side, for the exporter.
    #[must_use]
    pub fn health(&self) -> Health {
        let programs = self.probe.programs();
        let run = |program: &ProgramState| ProgramRun {
            name: program.name.clone(),
            run_time_ns: program.run_time_ns,
            runs: program.runs,
        };
        Health {
            probes: programs.iter().filter_map(|p| Some((p.name.clone(), p.attached?))).collect(),
            programs: programs.iter().map(run).collect(),
            slots: self.probe.capacity(),
            slots_used: self.probe.used().count() as u64,
        }
    }

    /// The loop begins: programs are analysed beside it from now on.
    pub fn begin(&mut self) {
        self.coverages.plan_beside();
    }

    /// The next process whose program was analysed.
    pub(super) async fn planned(&mut self) -> Planned {
        self.coverages.planned().await
    }

    /// It is probed now.
    pub(super) fn attached(&mut self, planned: Planned) {
        self.coverages.attached(planned);
    }

    /// What limits this run, in sentences.
    pub fn degradations(&mut self) -> Vec<String> {
        for sentence in self.probe.diagnostics() {
            self.warn(sentence);
        }
        let mut sentences: Vec<String> =
            self.probe.degradations().iter().map(|degradation| degradation.sentence.clone()).collect();
        sentences.extend(self.refused.iter().take(MAX_WARNINGS).cloned());
        sentences.extend(self.warnings.iter().cloned());
        sentences
    }

    /// Why connections may be missing, in sentences.
    pub fn unseen(&self) -> impl Iterator<Item = String> + '_ {
        self.refused.iter().take(MAX_WARNINGS).chain(&self.unfound).cloned()
    }

    /// Processes and namespaces, for what acts on connections.
    pub fn namespaces(&mut self) -> &mut Namespaces {
        &mut self.namespaces
    }
}

impl Owner {
    /// What /proc said, or else what the probe itself knows (the process may be gone).
    fn clone_with(&self, seen: Owner) -> Owner {
        if self.comm.is_empty() { Owner { cgroup: self.cgroup.clone(), ..seen } } else { self.clone() }
    }
}
