//! What is seen of TLS in each watched process, and which TLS connections are HTTP/2.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::planning::{Planned, Planning};
use crate::model::sample::{Cookie, Process, Reading, TlsFacts, Transport, View};
use crate::probe::{HelloPiece, Probe, SlotId, Uprobes};
use crate::target::process;
use crate::tls::h2::{Answer, FIRST_RECORDS, Facts, decide};
use crate::tls::hello::{Parse, Prefix, client_hello, server_hello};
use crate::tls::libraries::start_time_ticks;
use crate::tls::{Coverage, Depth};

/// Processes that connect in a storm are looked at this often at most.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Why a connection is not listed whose handshake nobody saw.
const UNTOLD: &str = "opened before, whose records do not tell whether it is HTTP/2";

/// Why the connections of a Go program are bound a little later.
const WRAPPED: &str = "; connections that the program wraps are bound by the lengths of their records";

/// Coverage of all processes.
#[derive(Debug)]
pub(super) struct Coverages {
    planning: Planning,
    covered: HashMap<u32, Covered>,
    handshakes: HashMap<Cookie, Handshake>,
    /// Go programs of which a connection did not lead to its socket.
    wrapped: HashSet<u32>,
}

#[derive(Debug)]
struct Covered {
    coverage: Coverage,
    /// Which process it was, and which files with code it had mapped: another program or library changes it.
    mapped: u64,
    looked_at: Instant,
}

/// The beginning of a connection.
#[derive(Debug, Default)]
struct Handshake {
    sent: Prefix,
    received: Prefix,
    /// What was found out.
    facts: TlsFacts,
    /// It is taken for HTTP/2, for good.
    told: bool,
    /// Nothing that is still to come can change the answer, except plaintext.
    settled: bool,
    plaintext_http2: Option<bool>,
    /// Whose it is, while it cannot be told to be HTTP/2 and nothing that is still to come will tell it.
    untold_of: Option<u32>,
}

/// Tells one set of mapped files from another, and one process from a later one of the same number.
fn mapped_files(pid: u32) -> Option<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut hasher = DefaultHasher::new();
    start_time_ticks(pid).ok()?.hash(&mut hasher);
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|flags| flags.contains('x'))) {
        line.split_ascii_whitespace().skip(2).for_each(|field| field.hash(&mut hasher));
    }
    Some(hasher.finish())
}

impl Coverages {
    /// Looks no deeper than `depth`.
    #[must_use]
    pub(super) fn new(depth: Depth, uprobes: Arc<Uprobes>) -> Self {
        Self {
            planning: Planning::new(depth, uprobes),
            covered: HashMap::new(),
            handshakes: HashMap::new(),
            wrapped: HashSet::new(),
        }
    }

    /// Before the process is what it will be: `program` is what it will run.
    pub(super) fn anticipate(&mut self, pid: u32, program: &Path) {
        let coverage = self.planning.anticipate(pid, program);
        self.note_coverage(coverage, 0);
    }

    /// Looks at a process, if it is new or has other code than before.
    pub(super) fn look(&mut self, pid: u32) {
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
        if let Some(planned) = self.planning.ask(pid, mapped) {
            self.attached(planned);
        }
    }

    /// From now on planning happens beside the loop.
    pub(super) fn plan_beside(&mut self) {
        self.planning.go_beside();
    }

    /// The next plan that was made and carried out beside the loop; never without one.
    pub(super) async fn planned(&mut self) -> Planned {
        self.planning.next().await
    }

    /// What is attached now. A process that ended meanwhile stays what it was known as.
    pub(super) fn attached(&mut self, (coverage, mapped): Planned) {
        if process::exists(coverage.pid) || !self.covered.contains_key(&coverage.pid) {
            self.note_coverage(coverage, mapped);
        }
    }

    fn note_coverage(&mut self, coverage: Coverage, mapped: u64) {
        self.covered.insert(coverage.pid, Covered { coverage, mapped, looked_at: Instant::now() });
    }

    /// Lets go of processes.
    pub(super) fn forget(&mut self, pids: Vec<u32>) {
        for pid in &pids {
            self.covered.remove(pid);
            self.wrapped.remove(pid);
        }
        self.planning.forget(pids);
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
                reason: self.reason(pid, &known.coverage),
            })
            .collect();
        all.sort_by_key(|process| process.pid);
        all
    }

    /// A connection of a Go program does not lead to its socket.
    pub(super) fn note_wrapped(&mut self, pid: u32) {
        self.wrapped.insert(pid);
    }

    /// With the connections that are passed over, because silence about them would look like health.
    fn reason(&self, pid: u32, coverage: &Coverage) -> String {
        let wrapped = if self.wrapped.contains(&pid) { WRAPPED } else { "" };
        let reason = format!("{}{wrapped}", coverage.reason);
        let untold = self.handshakes.values().filter(|handshake| handshake.untold_of == Some(pid)).count();
        match (coverage.view, untold) {
            // What is probed is told by its next write.
            (View::Frames | View::Streams, _) | (_, 0) => reason,
            (View::Records, 1) => format!("{reason}; not listed: 1 TLS connection {UNTOLD}"),
            (View::Records, n) => format!("{reason}; not listed: {n} TLS connections {UNTOLD}"),
        }
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
        let plaintext_http2 = probe.is_plaintext_http2(slot);
        if handshake.may_learn(plaintext_http2) {
            let pid = reading.owner.pid;
            let probed = self.covered.get(&pid).is_none_or(|known| known.coverage.view != View::Records);
            let (sent, received) = probe.first_records(slot);
            let answer =
                handshake.learn(Facts { plaintext_http2, probed, sent, received, ..Facts::default() });
            handshake.untold_of = (reading.seeded && matches!(answer, Answer::Unknown(_))).then_some(pid);
        }
        reading.tls = Some(handshake.facts.clone());
    }
}

impl Handshake {
    /// Whether the answer may be another one than before.
    fn may_learn(&self, plaintext_http2: Option<bool>) -> bool {
        !self.told && (!self.settled || plaintext_http2 != self.plaintext_http2)
    }

    /// `facts` are all but the handshake's.
    fn learn(&mut self, mut facts: Facts) -> Answer {
        self.plaintext_http2 = facts.plaintext_http2;
        if let Parse::Found(hello) = client_hello(self.sent.bytes()) {
            self.facts.server_name = hello.server_name;
            self.facts.alpn_offered.clone_from(&hello.alpn_offered);
            facts.alpn_offered = Some(hello.alpn_offered);
        }
        if let Parse::Found(hello) = server_hello(self.received.bytes()) {
            self.facts.alpn_chosen.clone_from(&hello.alpn_chosen);
            (facts.tls13, facts.alpn_chosen) = (Some(hello.tls13), hello.alpn_chosen);
        }
        let answer = decide(&facts);
        match &answer {
            Answer::Http2(evidence) => {
                self.facts.http2_evidence.clone_from(evidence);
                self.told = true;
            }
            Answer::NotHttp2(_) => self.settled = true,
            Answer::Unknown(_) => {
                self.settled = facts.sent.len() >= FIRST_RECORDS && facts.received.len() >= FIRST_RECORDS;
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plaintext(plaintext_http2: Option<bool>) -> Facts {
        Facts { plaintext_http2, ..Facts::default() }
    }

    #[test]
    fn what_is_not_http2_is_not_looked_at_again_until_its_plaintext_says_so() {
        let mut handshake = Handshake::default();
        assert!(matches!(handshake.learn(plaintext(None)), Answer::Unknown(_)));
        assert!(handshake.may_learn(None), "the first records are still to come");
        assert!(matches!(handshake.learn(plaintext(Some(false))), Answer::NotHttp2(_)));
        assert!(!handshake.may_learn(Some(false)) && handshake.may_learn(Some(true)));
        handshake.learn(plaintext(Some(true)));
        assert!(!handshake.facts.http2_evidence.is_empty() && !handshake.may_learn(Some(false)));
    }

    #[test]
    fn when_all_first_records_are_there_nothing_more_comes() {
        let mut handshake = Handshake::default();
        let mut facts = Facts { sent: vec![100; FIRST_RECORDS], ..Facts::default() };
        assert!(matches!(handshake.learn(facts.clone()), Answer::Unknown(_)) && handshake.may_learn(None));
        facts.received = vec![100; FIRST_RECORDS];
        assert!(matches!(handshake.learn(facts), Answer::Unknown(_)));
        assert!(!handshake.may_learn(None) && handshake.may_learn(Some(true)));
    }
}
