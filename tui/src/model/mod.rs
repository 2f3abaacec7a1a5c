//! What the samples mean: connections over time, judged at each sample. Pure: the clock is in the sample, nothing here does
//! I/O or can fail.
//!
//! `Model::observe` takes a `Sample` and gives the `Snapshot` that every output gets, and what changed since the last one.

pub mod baseline;
pub mod counters;
pub mod sample;
pub mod silence;
pub mod snapshot;
#[cfg(test)]
pub mod staged;
pub mod track;
pub mod unread;
pub mod unseen;
pub mod window;
pub mod words;

use crate::verdict::look::SOONEST_NS;
use crate::verdict::{Case, Policy, State, Suspects, next_look_ns, wants_tcp_facts};
use counters::Counters;
use sample::{Cookie, Losses, Nanos, Process, Reading, Sample};
use snapshot::{Change, Connection, Snapshot, Totals};
use std::collections::HashMap;
use std::net::SocketAddr;
use track::{Normal, Track, Turn, is_http2};

/// Counters of connections that are gone are kept for this many samples, in case one comes back after a torn read.
const GONE_SAMPLES: u64 = 64;
/// Destinations are swept when there are more than this, at most once in `GONE_SAMPLES` samples.
const MANY_DESTINATIONS: usize = 1024;

/// Connections over time.
#[derive(Debug, Default)]
pub struct Model {
    policy: Policy,
    tracks: HashMap<Cookie, Track>,
    /// What each destination normally does.
    normals: HashMap<SocketAddr, Normal>,
    gone: HashMap<Cookie, Counters>,
    gone_before: HashMap<Cookie, Counters>,
    totals: Totals,
    losses: Losses,
    processes: HashMap<u32, Process>,
    samples: u64,
    now_ns: Nanos,
}

impl Model {
    /// A model that has seen nothing.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// The policy that verdicts follow.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes a sample. The changes are in order of time.
    pub fn observe(&mut self, sample: &Sample) -> (Snapshot, Vec<Change>) {
        self.samples += 1;
        self.now_ns = self.now_ns.max(sample.now_ns);
        let mut changes = Vec::new();
        let mut open = Vec::new();
        self.note_processes(sample, &mut changes);
        for reading in &sample.readings {
            if self.follow(reading, &mut changes) {
                open.push(reading.id);
            }
        }
        self.close_vanished(&mut changes);
        self.note_losses(sample, &mut changes);
        self.forget();
        changes.sort_by_key(|&(at_ns, _)| at_ns);
        let snapshot = Snapshot {
            now_ns: sample.now_ns,
            unix_ns: sample.unix_ns,
            connections: self.sorted(&open),
            losses: sample.losses,
            processes: sample.processes.clone(),
            totals: self.totals,
            degradations: Vec::new(),
            unseen: self.unseen(sample),
            recording: None,
        };
        (snapshot, changes.into_iter().map(|(_, change)| change).collect())
    }

    /// What may be wrong without being seen.
    fn unseen(&self, sample: &Sample) -> Vec<String> {
        let open = sample.readings.iter().filter(|reading| reading.closed_ns.is_none());
        unseen::sentences(open.filter(|reading| !self.tracks.contains_key(&reading.id)), &self.processes)
    }

    /// Follows one connection; true when it stays open and is listed.
    fn follow(&mut self, reading: &Reading, changes: &mut Vec<(Nanos, Change)>) -> bool {
        let now_ns = self.now_ns;
        let newcomer = !self.tracks.contains_key(&reading.id);
        if newcomer && !is_http2(reading) {
            return false;
        }
        if newcomer {
            let known = self.gone.remove(&reading.id).or_else(|| self.gone_before.remove(&reading.id));
            if let Some(counters) = known.filter(|_| reading.closed_ns.is_some()) {
                // Its end was already told; only late counts are taken.
                Counters::of(reading).add_since(&counters, &mut self.totals);
                self.gone.insert(reading.id, Counters::of(reading));
                return false;
            }
            self.totals.connections_opened += u64::from(known.is_none());
            self.tracks.insert(reading.id, Track::new(reading, known.unwrap_or_default()));
        }
        let Some(track) = self.tracks.get_mut(&reading.id) else { return false };
        if track.seen == self.samples {
            // The same connection twice in one sample: the probe read it while it changed. The second one is not newer.
            return false;
        }
        let normal = self.normals.entry(reading.remote).or_default();
        let (before, damage) = (track.counters, track.damage());
        track.program = self.processes.get(&reading.owner.pid).and_then(|process| process.library);
        let turn = track.observe(reading, now_ns, normal, &self.policy);
        track.seen = self.samples;
        track.counters.add_since(&before, &mut self.totals);
        self.totals.damage += track.damage() - damage;
        self.totals.stalls += u64::from(turn == Turn::Stalled);
        if newcomer {
            changes.push((reading.opened_ns.min(now_ns), Change::Opened(Box::new(track.connection()))));
        }
        match turn {
            Turn::Same => {}
            Turn::Stalled => changes.push((now_ns, Change::Stalled(Box::new(track.connection())))),
            Turn::Sharpened => changes.push((now_ns, Change::Sharpened(Box::new(track.connection())))),
            Turn::Recovered { stalled_ns } => {
                let connection = Box::new(track.connection());
                changes.push((now_ns, Change::Recovered { connection, stalled_ns }));
            }
        }
        if reading.closed_ns.is_some() {
            self.close(reading.id, changes);
        }
        reading.closed_ns.is_none()
    }

    fn close(&mut self, id: Cookie, changes: &mut Vec<(Nanos, Change)>) {
        let Some(track) = self.tracks.remove(&id) else { return };
        self.totals.connections_closed += 1;
        self.gone.insert(id, track.counters);
        changes.push((self.now_ns, Change::Closed(Box::new(track.connection()))));
    }

    /// A connection that is in no sample any more was closed without a word: a slot was given back before it was read.
    fn close_vanished(&mut self, changes: &mut Vec<(Nanos, Change)>) {
        let vanished: Vec<Cookie> =
            self.tracks.iter().filter(|(_, track)| track.seen != self.samples).map(|(&id, _)| id).collect();
        for id in vanished {
            if let Some(track) = self.tracks.get_mut(&id) {
                track.vanish(self.now_ns);
            }
            self.close(id, changes);
        }
    }

    fn note_losses(&mut self, sample: &Sample, changes: &mut Vec<(Nanos, Change)>) {
        if sample.losses != self.losses {
            self.losses = sample.losses;
            changes.push((self.now_ns, Change::Lost(sample.losses)));
        }
    }

    fn note_processes(&mut self, sample: &Sample, changes: &mut Vec<(Nanos, Change)>) {
        for process in &sample.processes {
            if self.processes.get(&process.pid) != Some(process) {
                self.processes.insert(process.pid, process.clone());
                changes.push((self.now_ns, Change::Process(process.clone())));
            }
        }
        if self.processes.len() > sample.processes.len() {
            let alive: std::collections::HashSet<u32> = sample.processes.iter().map(|p| p.pid).collect();
            self.processes.retain(|pid, _| alive.contains(pid));
        }
    }

    fn forget(&mut self) {
        if !self.samples.is_multiple_of(GONE_SAMPLES) {
            return;
        }
        self.gone_before = std::mem::take(&mut self.gone);
        if self.normals.len() > MANY_DESTINATIONS {
            let now_ns = self.now_ns;
            self.normals.retain(|_, normal| {
                normal.heard.age(now_ns);
                normal.heard.waits() > 0
            });
        }
    }

    /// Open connections, most severe first, then the oldest first.
    fn sorted(&self, open: &[Cookie]) -> Vec<Connection> {
        let mut tracks: Vec<&Track> = open.iter().filter_map(|id| self.tracks.get(id)).collect();
        tracks.sort_by_key(|track| {
            let verdict = &track.verdict;
            (std::cmp::Reverse((verdict.severity, verdict.state)), track.reading.opened_ns, track.reading.id)
        });
        tracks.into_iter().map(Track::connection).collect()
    }

    /// The earliest moment at which a connection that is not stalled could become it without anything new being seen:
    /// look again then. `None` while nothing waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        self.cases().filter_map(|(case, state)| next_look_ns(&case, state)).min()
    }

    fn cases(&self) -> impl Iterator<Item = (Case<'_>, State)> {
        self.tracks.values().map(|track| {
            let normal = self.normals.get(&track.reading.remote).unwrap_or(&Normal::UNKNOWN);
            (track.case(self.now_ns, normal, &self.policy), track.verdict.state)
        })
    }

    /// No stream that is opened from now on can be called stalled before this time has passed: the run loop may sleep as
    /// long when nothing waits, and the kernel's ring is set to it.
    #[must_use]
    pub fn shortest_stall_after_ns(&self) -> Nanos {
        self.policy.shortest_ns().min(SOONEST_NS)
    }

    /// Connections whose TCP facts the next sample should carry.
    #[must_use]
    pub fn suspects(&self) -> Suspects {
        let known = self.cases().filter(|(case, state)| wants_tcp_facts(case, *state));
        Suspects::new(known.map(|(case, _)| case.reading.id).collect(), &self.policy)
    }

    /// Stalled connections now.
    #[must_use]
    pub fn stalled(&self) -> usize {
        self.tracks.values().filter(|track| track.verdict.state == State::Stalled).count()
    }

    /// Counts a connection that was reset by h2watch.
    pub fn count_reset(&mut self) {
        self.totals.resets += 1;
    }
}

#[cfg(test)]
mod tests;
