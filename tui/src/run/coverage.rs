//! What is seen of TLS in each watched process, and which TLS connections are HTTP/2.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use super::planning::Planning;
use crate::model::sample::{Cookie, Process, Reading, TlsFacts, Transport, View};
use crate::probe::{Attached, HelloPiece, Probe, SlotId};
use crate::target::process;
use crate::tls::h2::{Answer, Facts, decide};
use crate::tls::hello::{Parse, Prefix, client_hello, server_hello};
use crate::tls::{Coverage, Depth, Planner};

/// Processes that connect in a storm are looked at this often at most.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Coverage of all processes.
#[derive(Debug, Default)]
pub(super) struct Coverages {
    depth: Depth,
    planner: Planner,
    /// Plans beside the loop, once there is a loop.
    planning: Option<Planning>,
    covered: HashMap<u32, Covered>,
    handshakes: HashMap<Cookie, Handshake>,
}

#[derive(Debug)]
struct Covered {
    coverage: Coverage,
    attached: Attached,
    /// Which files with code the process had mapped: another program or library changes it.
    mapped: u64,
    looked_at: Instant,
}

/// The beginning of a connection.
#[derive(Debug, Default)]
struct Handshake {
    sent: Prefix,
    received: Prefix,
    /// What was found out, and whether it is final.
    facts: TlsFacts,
    decided: bool,
}

/// Tells one set of mapped files from another, in one read.
fn mapped_files(pid: u32) -> Option<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut hasher = DefaultHasher::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|flags| flags.contains('x'))) {
        line.split_ascii_whitespace().skip(2).for_each(|field| field.hash(&mut hasher));
    }
    Some(hasher.finish())
}

impl Coverages {
    /// Looks no deeper than `depth`.
    #[must_use]
    pub(super) fn new(depth: Depth) -> Self {
        Self { depth, ..Self::default() }
    }

    /// Before the process is what it will be: `program` is what it will run.
    pub(super) fn anticipate(&mut self, probe: &mut Probe, pid: u32, program: &Path) {
        let coverage = self.planner.anticipate(pid, self.depth, program);
        self.attach(probe, coverage, 0);
    }

    /// Looks at a process, if it is new or has other code than before.
    pub(super) fn look(&mut self, probe: &mut Probe, pid: u32) {
        let known = self.covered.get_mut(&pid);
        if known.as_ref().is_some_and(|known| known.looked_at.elapsed() < LOOK_EVERY) {
            return;
        }
        let Some(mapped) = mapped_files(pid) else { return };
        if let Some(known) = known {
            known.looked_at = Instant::now();
            if known.mapped == mapped {
                return;
            }
        }
        match &mut self.planning {
            Some(planning) => planning.ask(pid, mapped),
            None => {
                let coverage = self.planner.plan(pid, self.depth);
                self.attach_planned(probe, coverage, mapped);
            }
        }
    }

    /// From now on planning happens beside the loop.
    pub(super) fn plan_beside(&mut self) {
        if self.planning.is_none() {
            self.planning = Planning::start(self.depth);
        }
    }

    /// The next plan that was made beside the loop; never without one.
    pub(super) async fn planned(&mut self) -> (Coverage, u64) {
        if let Some(planning) = &mut self.planning
            && let Some(planned) = planning.next().await
        {
            return planned;
        }
        std::future::pending().await
    }

    /// Attaches what was planned. A process that ended meanwhile stays what it was known as.
    pub(super) fn attach_planned(&mut self, probe: &mut Probe, coverage: Coverage, mapped: u64) {
        if process::exists(coverage.pid) || !self.covered.contains_key(&coverage.pid) {
            self.attach(probe, coverage, mapped);
        }
    }

    fn attach(&mut self, probe: &mut Probe, mut coverage: Coverage, mapped: u64) {
        let pid = coverage.pid;
        let mut attached = self.covered.remove(&pid).map(|known| known.attached).unwrap_or_default();
        if let Err(error) = probe.attach_tls(&mut attached, &coverage) {
            coverage.view = View::Records;
            coverage.reason = format!("{}; {error:#}", coverage.reason);
        }
        self.covered.insert(pid, Covered { coverage, attached, mapped, looked_at: Instant::now() });
    }

    /// Lets go of a process.
    pub(super) fn forget(&mut self, probe: &mut Probe, pid: u32) {
        if let Some(known) = self.covered.remove(&pid) {
            probe.detach_tls(known.attached);
        }
    }

    /// Processes that are known.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.covered.keys().copied()
    }

    /// For the sample.
    #[must_use]
    pub(super) fn processes(&self) -> Vec<Process> {
        let mut all: Vec<Process> = self
            .covered
            .iter()
            .map(|(&pid, known)| Process {
                pid,
                comm: process::comm(pid).unwrap_or_default(),
                library: known.coverage.library,
                view: known.coverage.view,
                reason: known.coverage.reason.clone(),
            })
            .collect();
        all.sort_by_key(|process| process.pid);
        all
    }

    /// A piece of a handshake.
    pub(super) fn note(&mut self, cookie: Cookie, piece: &HelloPiece) {
        let handshake = self.handshakes.entry(cookie).or_default();
        let prefix = if piece.sent { &mut handshake.sent } else { &mut handshake.received };
        prefix.push(piece.offset, &piece.bytes);
    }

    /// Lets go of handshakes whose connection is not there any more: a piece may be told after the end, when a connection is
    /// shorter than the time between two looks.
    pub(super) fn retain(&mut self, connections: &HashSet<Cookie>) {
        self.handshakes.retain(|cookie, _| connections.contains(cookie));
    }

    /// The connection is gone.
    pub(super) fn close(&mut self, cookie: Cookie) {
        self.handshakes.remove(&cookie);
    }

    /// Adds to a reading what is known of its TLS.
    pub(super) fn complete(&mut self, probe: &Probe, slot: SlotId, reading: &mut Reading) {
        if reading.transport != Transport::Tls {
            return;
        }
        let handshake = self.handshakes.entry(reading.id).or_default();
        if !handshake.decided {
            handshake.learn(probe, slot, reading);
        }
        reading.tls = Some(handshake.facts.clone());
    }
}

impl Handshake {
    fn learn(&mut self, probe: &Probe, slot: SlotId, reading: &Reading) {
        let (sent, received) = probe.first_records(slot);
        let enough = sent.len() >= crate::tls::h2::FIRST_RECORDS;
        let mut facts = Facts { sent, received, ..Facts::default() };
        if let Parse::Found(hello) = client_hello(self.sent.bytes()) {
            self.facts.server_name = hello.server_name;
            self.facts.alpn_offered.clone_from(&hello.alpn_offered);
            facts.alpn_offered = Some(hello.alpn_offered);
        }
        if let Parse::Found(hello) = server_hello(self.received.bytes()) {
            self.facts.alpn_chosen.clone_from(&hello.alpn_chosen);
            (facts.tls13, facts.alpn_chosen) = (Some(hello.tls13), hello.alpn_chosen);
        }
        if reading.view != View::Records {
            facts.plaintext_http2 = Some(true);
        }
        match decide(&facts) {
            Answer::Http2(evidence) => (self.facts.http2_evidence, self.decided) = (evidence, true),
            // A connection that turns out to be bound to plaintext later is HTTP/2 all the same.
            Answer::NotHttp2(_) => {}
            Answer::Unknown(_) => self.decided = enough && facts.plaintext_http2.is_some(),
        }
    }
}
