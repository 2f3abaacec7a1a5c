//! The fresh look before a reset, as the run takes it: what it finds is judged, told, recorded, and a line of the audit file.

use super::*;
use crate::export::{Exporter, Feed, Format, LabelLimits};
use crate::model::snapshot::Snapshot;
use crate::model::staged::{Staged, quiet_tcp, sample};
use crate::reset::policy::{Mode, Policy};
use crate::run::{Companions, Keep};
use crate::verdict::{self, Cause, StallAfter};
use serde_json::Value;
use std::collections::VecDeque;
use std::path::PathBuf;

/// Samples that a test made, one for each look.
#[derive(Debug, Default)]
struct Prepared {
    samples: VecDeque<Sample>,
    asked: Vec<Option<Cookie>>,
    namespaces: Namespaces,
}

impl Eye for Prepared {
    fn sample(&mut self, wanted: &Wanted<'_>) -> Sample {
        self.asked.push(wanted.asked);
        self.samples.pop_front().expect("a look that the test prepared")
    }
    fn namespaces(&mut self) -> &mut Namespaces {
        &mut self.namespaces
    }
}

/// A run without a kernel: a connection, number 1 as a rule, has been silent for 5 s, connection 2 is what the test makes of it.
struct Play {
    model: Model,
    eye: Prepared,
    companions: Companions,
    snapshot: Snapshot,
    silent: Staged,
    other: Staged,
    found: Vec<Change>,
    folder: tempfile::TempDir,
}

impl Play {
    fn new(mode: Mode, other: Staged) -> Self {
        Self::of(mode, other, |silent| silent.reading.id = 1)
    }

    /// `name` says which connection the silent one is.
    fn of(mode: Mode, mut other: Staged, name: impl FnOnce(&mut Staged)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let after = Duration::from_secs(3);
        let policy = Policy { mode, min_age: Duration::ZERO, stall_after: Some(after), ..Policy::default() };
        let resets = Resets {
            resetter: Resetter::new(policy),
            audit: Some(AuditLog::open(&folder.path().join("audit")).unwrap()),
        };
        let judged = verdict::Policy { stall_after: StallAfter::Fixed(after), ..verdict::Policy::default() };
        let (file, header) = (folder.path().join("recording"), crate::record::Header::here(judged, false));
        let file = std::io::BufWriter::new(std::fs::File::create(file).unwrap());
        let keep = Keep::All(Box::new(crate::record::Writer::new(file, &header).unwrap()));
        let mut silent = Staged::h2c(1, 1_000);
        name(silent.open(3).tcp(quiet_tcp()));
        let mut model = Model::new(judged);
        let mut snapshot = Snapshot::default();
        for _ in 0..5 {
            silent.wait(1_000);
            other.wait(1_000);
            snapshot = model.observe(&sample(silent.now_ms, &[&silent, &other])).0;
        }
        let stalled =
            snapshot.connections.iter().find(|connection| connection.reading.id == silent.reading.id);
        assert_eq!(stalled.and_then(|stalled| stalled.verdict.cause), Some(Cause::SilentPeer));
        let companions = Companions {
            resets: Some(resets),
            recorder: Some(Recorder::new(keep, false)),
            ..Companions::default()
        };
        Self {
            model,
            eye: Prepared::default(),
            companions,
            snapshot,
            silent,
            other,
            found: Vec::new(),
            folder,
        }
    }

    /// What the fresh look will see.
    fn prepare(&mut self, connections: &[&Staged]) {
        self.eye.samples.push_back(sample(connections[0].now_ms, connections));
    }

    fn decide(&mut self) {
        let beat = Beat::new(None);
        let live = Live::new(&mut self.eye, &mut self.model, &beat, &mut self.found);
        self.companions.resets(&self.snapshot, Duration::ZERO, live).unwrap();
    }

    /// A person says yes to the silent one.
    fn ask(&mut self) {
        let beat = Beat::new(None);
        let shown =
            self.snapshot.connections.iter().find(|c| c.reading.id == self.silent.reading.id).unwrap();
        let live = Live::new(&mut self.eye, &mut self.model, &beat, &mut self.found);
        self.companions.ask(shown, &self.snapshot, live).unwrap().expect("an answer");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The one line of the audit file: mode, result, reason.
    fn audited(&self) -> [String; 3] {
        let written = std::fs::read_to_string(self.path("audit")).unwrap();
        assert_eq!(written.lines().count(), 1, "{written}");
        let line: Value = serde_json::from_str(&written).unwrap();
        ["mode", "result", "reason"].map(|key| line[key].as_str().unwrap().to_owned())
    }

    fn recorded(&mut self) -> Vec<Sample> {
        self.companions.end_recording().unwrap();
        let file = std::fs::File::open(self.path("recording")).unwrap();
        crate::record::Reader::new(file).unwrap().map(Result::unwrap).collect()
    }
}

/// A connection with nothing to do.
fn idle() -> Staged {
    Staged::h2c(2, 1_000)
}

/// With a real socket, which the kernel resets.
#[test]
fn what_is_done_is_counted_by_the_exporter() {
    if !super::tests::root() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, _accepted) = super::tests::connected("127.0.0.1:0".parse().unwrap(), &listener);
    let mut play = Play::of(Mode::Auto, idle(), |silent| {
        silent.reading.id = rustix::net::sockopt::socket_cookie(&client).unwrap();
        silent.reading.owner.pid = std::process::id();
        (silent.reading.local, silent.reading.remote) =
            (client.local_addr().unwrap(), client.peer_addr().unwrap());
    });
    let exporter = Exporter::new(LabelLimits::default());
    play.companions.exporter = Some(Feed::new(exporter.clone()));
    let (silent, other) = (play.silent.clone(), play.other.clone());
    play.prepare(&[&silent, &other]);
    play.decide();
    assert_eq!(play.audited()[..2], ["auto", "done"]);
    let text = exporter.render(Format::OpenMetrics);
    let text = String::from_utf8_lossy(&text);
    for series in [
        "h2watch_resets_total{cause=\"silent_peer\",result=\"ok\"} 1",
        "h2watch_reset_latency_seconds_count 1",
    ] {
        assert!(text.lines().any(|line| line == series), "{series} is not in {text}");
    }
}

#[test]
fn what_recovered_between_verdict_and_reset_is_spared_and_told() {
    let mut play = Play::new(Mode::Auto, idle());
    let (mut alive, other) = (play.silent.clone(), play.other.clone());
    alive.wait(1).answer(3);
    play.prepare(&[&alive, &other]);
    play.decide();
    let [mode, result, reason] = play.audited();
    assert_eq!((mode.as_str(), result.as_str()), ("auto", "refused"));
    assert!(reason.contains("not stalled any more"), "{reason}");
    assert_eq!(play.eye.asked, [Some(1)], "its TCP facts are asked for");
    assert!(matches!(play.found[..], [Change::Recovered { .. }]), "{:#?}", play.found);
}

#[test]
fn what_a_persons_look_finds_of_others_is_told_and_recorded() {
    let mut play = Play::new(Mode::DryRun, idle());
    let (silent, mut closed) = (play.silent.clone(), play.other.clone());
    closed.open(1).answer(1).close();
    play.prepare(&[&silent, &closed]);
    play.ask();
    assert_eq!(play.audited()[..2], ["confirm", "dry_run"]);
    let [Change::Closed(connection)] = &play.found[..] else { panic!("{:#?}", play.found) };
    assert_eq!((connection.reading.id, connection.reading.streams.opened), (2, 1));
    let recorded = play.recorded();
    let last = &recorded.last().expect("the fresh look").readings;
    assert!(last.iter().any(|r| r.id == 2 && r.closed_ns.is_some()), "its final counters: {recorded:#?}");
}

#[test]
fn what_has_gone_from_the_screen_is_answered_too() {
    let mut play = Play::new(Mode::Confirm, idle());
    let other = play.other.clone();
    play.prepare(&[&other]);
    play.ask();
    let [mode, result, reason] = play.audited();
    assert_eq!((mode.as_str(), result.as_str()), ("confirm", "refused"));
    assert!(reason.contains("closed meanwhile"), "{reason}");
}
