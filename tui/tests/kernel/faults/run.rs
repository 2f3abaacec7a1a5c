//! Runs of faults, one after the other: h2watch with its default settings watches a cgroup, each run puts a client into it,
//! the fault strikes, and what h2watch says of the client's connections is noted.

use super::catalogue::Fault;
use super::clients::Client;
use crate::support::cgroup::Cgroup;
use crate::support::now_ns;
use crate::support::programs::Program;
use crate::support::watch::{Watch, one_at_a_time, text};
use serde_json::Value;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// For so long it is listened whether the cause becomes another one, or the stall ends. A less sharp cause takes the place of one
/// whose evidence has been gone for 5 s (`SETTLE_NS` in `tui/src/verdict/standing.rs`).
const SETTLES: Duration = Duration::from_secs(6);
/// After the time in which it must be said: what comes that late is told as late, not as missing.
const GRACE: Duration = Duration::from_secs(10);
/// Generous: a large program (Node) is searched for its TLS functions when it appears.
const SOON: Duration = Duration::from_secs(120);

/// What h2watch said.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) fault: Fault,
    pub(crate) client: Client,
    /// Causes in the order in which they were said; empty: no stall was reported.
    pub(crate) causes: Vec<String>,
    /// From the strike to the first stall line.
    pub(crate) after_s: Option<f64>,
    /// It was called stalled before the strike, while all was well.
    pub(crate) early: bool,
    /// How often it was called well again; no fault here ends by itself.
    pub(crate) recovers: u32,
    pub(crate) evidence: String,
    pub(crate) advice: String,
}

impl Outcome {
    /// The cause that stayed.
    pub(crate) fn said(&self) -> &str {
        self.causes.last().map_or("no stall", String::as_str)
    }

    pub(crate) fn is_right(&self) -> bool {
        let in_sentence = |part: &&str| self.evidence.contains(*part);
        self.said() == self.fault.cause
            && self.fault.says.iter().any(|parts| parts.iter().all(in_sentence))
            && !self.early
            && self.recovers == 0
    }

    pub(crate) fn in_time(&self) -> bool {
        self.after_s.is_some_and(|s| s <= self.fault.within.as_secs_f64())
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name)
    }
}

/// A cgroup under watch.
pub(crate) struct Watched {
    // Before the cgroup: it ends before that is removed.
    watch: Watch,
    cgroup: Cgroup,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let cgroup = Cgroup::new("fault");
        let watch = one_at_a_time(|| Watch::start(&["--cgroup", &cgroup.path().to_string_lossy()]));
        Self { watch, cgroup }
    }

    /// The same, written down in `file` under pseudonyms.
    pub(crate) fn recording(file: &Path) -> Self {
        let cgroup = Cgroup::new("fault");
        let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
        command
            .arg("record")
            .arg(file)
            .args(["--anonymise", "--output", "json", "--cgroup"])
            .arg(cgroup.path());
        let watch = Watch::spawn(command);
        watch.wait_until_ready();
        Self { watch, cgroup }
    }

    pub(crate) fn stop(self) {
        let ended = self.watch.stop();
        assert!(ended.status.success(), "{}", ended.errors);
    }

    pub(crate) fn run(&self, fault: Fault, client: Client) -> Outcome {
        let world = (fault.set_up)(client);
        let remote = world.remote.to_string();
        let from = self.watch.count();
        let mut program = Program::start_with(&world.client, |command| self.cgroup.start_inside(command));
        if client.has_tls() {
            self.introduce(&mut program, from);
        }
        program.hear("CONNECTED");
        // Its advice is told from what its process is, which is found out beside the connections.
        let pid = program.pid();
        let known = |line: &Value| line["process"]["pid"] == pid;
        self.watch.wait_after(from, SOON, "process line of the client", known);
        let warm = |line: &Value| is_warm(line, &remote, world.warm);
        self.watch.wait_after(from, SOON, "snapshot of a warm connection", warm);
        let striking_ns = now_ns();
        match world.told {
            Some(line) => program.tell(line),
            None => (world.strike)(),
        }
        let struck_ns = now_ns();
        let outcome = Outcome {
            fault,
            client,
            causes: Vec::new(),
            after_s: None,
            early: false,
            recovers: 0,
            evidence: String::new(),
            advice: String::new(),
        };
        let outcome = self.listen(outcome, from, &remote, striking_ns..struck_ns);
        drop(program);
        drop(world.parts);
        outcome
    }

    /// A process that connects before its TLS is probed is seen less well: that is another fault than the ones here.
    fn introduce(&self, program: &mut Program, from: usize) {
        program.hear("WAITING");
        let pid = program.pid();
        let known = |line: &Value| line["process"]["pid"] == pid && line["process"]["view"] == "frames";
        self.watch.wait_after(from, SOON, "process line of the client", known);
        program.tell("connect");
    }

    /// `strike_ns`: when the strike began and when it was done. In between the fault may be there already.
    fn listen(&self, mut outcome: Outcome, from: usize, remote: &str, strike_ns: Range<u64>) -> Outcome {
        let struck_ns = strike_ns.end;
        let mut until_ns = struck_ns + (outcome.fault.within + GRACE).as_nanos() as u64;
        let mut seen = from;
        while now_ns() < until_ns {
            for line in self.watch.lines_from(seen) {
                seen += 1;
                let connection = &line.content["connection"];
                let kind = text(&line.content["type"]);
                if connection["remote"] != remote {
                    continue;
                }
                outcome.recovers += u32::from(kind == "recover");
                if kind != "stall" && kind != "sharpen" {
                    continue;
                }
                outcome.early |= line.at_ns < strike_ns.start;
                if outcome.after_s.is_none() {
                    outcome.after_s = Some((line.at_ns as f64 - struck_ns as f64) / 1e9);
                    until_ns = line.at_ns + SETTLES.as_nanos() as u64;
                }
                outcome.causes.push(text(&connection["cause"]));
                outcome.evidence = text(&connection["evidence"]);
                outcome.advice = text(&connection["advice"]);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if outcome.causes.is_empty() {
            let snapshot = self.watch.fresh_snapshot();
            let connections = snapshot["connections"].as_array().cloned().unwrap_or_default();
            outcome.evidence =
                connections.iter().filter(|c| c["remote"] == remote).map(ToString::to_string).collect();
        }
        outcome
    }
}

fn is_warm(line: &Value, remote: &str, streams: u64) -> bool {
    let connections = line["connections"].as_array().map(Vec::as_slice).unwrap_or_default();
    // `null` while only TLS records are seen.
    let opened = |c: &Value| c["streams_opened"].as_u64().unwrap_or(0);
    connections.iter().any(|c| c["remote"] == remote && opened(c) >= streams)
}
