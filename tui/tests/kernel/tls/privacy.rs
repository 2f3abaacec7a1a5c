//! What clients send and receive is kept nowhere: no piece of a marked header value or body is in the maps and the ring of
//! h2watch's programs, in a recording, in the lines, the table, on the dashboard's screen, in what `check` says, or in what the
//! exporter serves; also not where h2watch comes later than the client and has to search for frames.

mod senders;

use super::marks::Marks;
use super::peer::Peer;
use crate::dashboard::{Terminal, quoted};
use crate::support::bpf::{Dump, dump_maps_of};
use crate::support::cgroup::{Cgroup, mount};
use crate::support::exporter::Exporter;
use crate::support::link::Recording;
use crate::support::programs::Program;
use crate::support::watch::{Watch, signal_process};
use crate::support::{take_turns, wait_until};
use rustix::process::Signal;
use senders::{SENDERS, Sender, WGET};
use serde_json::Value;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
/// Pieces of a request that must have been seen before the search: frames with a body, or records.
const ENOUGH: u64 = 30;

/// h2watch in each of its forms, on one cgroup.
struct Watchers {
    name: String,
    lines: Watch,
    record: Watch,
    table: Program,
    dashboard: Terminal,
    exporter: Exporter,
    recording: PathBuf,
    table_file: PathBuf,
}

impl Watchers {
    fn start(folder: &Path, cgroup: &Cgroup) -> Self {
        let name =
            cgroup.path().strip_prefix(mount()).expect("below the mount").to_string_lossy().into_owned();
        let stalls = ["--stall-after", "1s", "--min-streams", "1"];
        let options =
            [&["--cgroup", &name, "--tls", "frames", "--max-connections", "64"][..], &stalls].concat();
        let (recording, table_file) = (folder.join("marked.h2w"), folder.join("table"));
        let mut record = Command::new(env!("CARGO_BIN_EXE_h2watch"));
        record.arg("record").arg(&recording).args(["--output", "json"]).args(&options);
        let record = Watch::spawn(record);
        record.wait_until_ready();
        let this = env!("CARGO_BIN_EXE_h2watch");
        let file = table_file.to_string_lossy().into_owned();
        let words = [&[this, "--output", "table", "-o", &file][..], &options].concat();
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let (lines, table) = (Watch::start(&options), Program::start(&words));
        let exporter = Exporter::start(&options);
        // The last: each takes its time over the programs that it finds, and the screen is waited for least.
        let dashboard = Terminal::new(180, 45);
        let command: Vec<String> =
            [&[this][..], &options].concat().iter().map(|&word| word.to_owned()).collect();
        dashboard.say(&format!("clear; {}", quoted(&command)));
        Self { lines, record, table, dashboard, exporter, name, recording, table_file }
    }

    /// Ends every one, and looks at all that it has left.
    fn end(self, marks: &Marks, mut search: Search) {
        let Self { lines, record, mut table, exporter, recording, table_file, .. } = self;
        search.look(marks, "what the exporter serves", exporter.metrics().0.as_bytes());
        search.look(marks, "what the exporter prints", exporter.log().as_bytes());
        for (what, watch) in [("lines", lines), ("lines of the recorder", record)] {
            let ended = watch.stop();
            let printed: Vec<String> = ended.lines.iter().map(ToString::to_string).collect();
            search.look(marks, what, (printed.join("\n") + &ended.errors).as_bytes());
        }
        signal_process(table.pid(), Signal::TERM);
        table.child.wait().expect("a child");
        search.look(marks, "the table", &std::fs::read(&table_file).expect("h2watch writes its table"));
        let (file, mut text) = (std::fs::File::open(&recording).expect("a recording"), Vec::new());
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).expect("a recording is gzip");
        search.look(marks, "the recording", &text);
        println!("{} bytes looked at", search.looked_at);
        assert!(search.found.is_empty(), "pieces of marks: {:#?}", search.found);
    }

    fn pids(&self) -> [u32; 4] {
        [self.lines.pid(), self.record.pid(), self.table.pid(), self.exporter.pid()]
    }

    /// What the dashboard shows of a connection: in the table, and on its page.
    fn screens(&self, peer: &Peer) -> String {
        // The host is its address or the server name that its client asked for.
        let port = format!(":{}", peer.address.port());
        let table = self.dashboard.shows("the connection", |screen| screen.contains(&port));
        self.dashboard.press("/");
        self.dashboard.press(&format!("{port}\r\r"));
        let page = self.dashboard.shows("its page", |screen| {
            screen.contains(" esc back ")
                && screen.lines().any(|line| line.contains("→ ") && line.contains(&port))
        });
        // Back to the table, and to all of it.
        self.dashboard.press("\x1b");
        self.dashboard.shows("the table", |screen| !screen.contains(" esc back "));
        self.dashboard.press("\x1b");
        table + &page
    }

    /// What is said of the client's connection while its server is stopped: a line, and what `check` finds, which comes later. It
    /// knows nothing of a connection whose client waits for the answer before it asks again.
    fn said_of_a_stall(&self, peer: &Peer) -> String {
        let line = self.stop_until_stalled(peer);
        let mut check = Command::new(env!("CARGO_BIN_EXE_h2watch"));
        check.args([
            "check",
            "--cgroup",
            &self.name,
            "--tls",
            "frames",
            "--stall-after",
            "1s",
            "--for",
            "3s",
        ]);
        let output = check.output().expect("h2watch starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        signal_process(peer.pid(), Signal::CONT);
        format!("{line}\n{said}")
    }

    /// Stops the server. Once more where that was within an answer: a response that has begun and is quiet is no stall.
    fn stop_until_stalled(&self, peer: &Peer) -> Value {
        let of_peer = |connection: &Value| connection["remote"] == peer.address.to_string().as_str();
        let stalled = |line: &Value| line["type"] == "stall" && of_peer(&line["connection"]);
        let quiet = |connection: &Value| {
            let silent_ms = connection["last_frame_received_ms"].as_u64().unwrap_or(0);
            of_peer(connection) && silent_ms > 2_000 && connection["streams_unanswered"] == 0
        };
        let in_between =
            |line: &Value| line["connections"].as_array().is_some_and(|all| all.iter().any(quiet));
        let mut from = self.lines.count();
        loop {
            signal_process(peer.pid(), Signal::STOP);
            let (next, line) = self.lines.wait_after(from, SOON, "stall", |l| stalled(l) || in_between(l));
            if line.content["type"] == "stall" {
                return line.content;
            }
            signal_process(peer.pid(), Signal::CONT);
            let heard = |line: &Value| {
                let heard = |c: &Value| of_peer(c) && c["last_frame_received_ms"].as_u64() < Some(2_000);
                line["connections"].as_array().is_some_and(|all| all.iter().any(heard))
            };
            from = self.lines.wait_after(next, SOON, "snapshot with an answer", heard).0;
        }
    }

    /// The client's connection, when enough of it was seen in every form that prints lines.
    fn wait_until_seen(&self, peer: &Peer, sender: &Sender) -> Value {
        let enough = |connection: &Value| {
            let seen = |what: &str, kind: &str| connection[what][kind].as_u64().unwrap_or(0) >= ENOUGH;
            let both = |kind, sent, received| seen(sent, kind) && seen(received, kind);
            let kind = if sender.name == WGET { "headers" } else { "data" };
            let frames = both(kind, "frames_sent", "frames_received");
            let records = both("application", "records_sent", "records_received");
            connection["remote"] == peer.address.to_string().as_str()
                && connection["view"] == sender.view
                && if sender.view == "frames" { frames } else { records }
        };
        let seen = |line: &Value| line["connections"].as_array().is_some_and(|all| all.iter().any(enough));
        let what = format!("snapshot with {}", sender.name);
        self.record.wait_for(SOON, &what, seen);
        let line = self.lines.wait_for(SOON, &what, seen).content;
        line["connections"].as_array().into_iter().flatten().find(|one| enough(one)).expect("found").clone()
    }
}

/// Names of what holds a piece of a mark.
#[derive(Default)]
struct Search {
    looked_at: usize,
    found: Vec<String>,
}

impl Search {
    fn look(&mut self, marks: &Marks, what: &str, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "{what} is empty");
        self.looked_at += bytes.len();
        self.found.extend(marks.find(bytes).map(|at| format!("{what}, byte {at}")));
    }

    fn look_at_maps(&mut self, marks: &Marks, what: &str, pid: u32) -> Vec<Dump> {
        let dumps = dump_maps_of(pid);
        for dump in dumps.iter().filter(|dump| !dump.bytes.is_empty()) {
            self.look(marks, &format!("{what}: map {}", dump.name), &dump.bytes);
        }
        dumps
    }
}

fn send_marks(senders: &[&'static Sender], both: bool) {
    let _turn = take_turns();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (marks, mut search) = (Marks::new(), Search::default());
    let cgroup = Cgroup::new("privacy");
    let watchers = Watchers::start(folder.path(), &cgroup);
    for sender in senders {
        for without_tls in [false, true] {
            if !without_tls || both && sender.without_tls {
                let sending = Sending::start(sender, without_tls, &cgroup, &marks);
                sending.look(&watchers, &marks, &mut search);
            }
        }
    }
    watchers.end(&marks, search);
}

/// The clients are at work, over TLS, when h2watch comes.
fn send_marks_before(senders: &[&'static Sender]) {
    let _turn = take_turns();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (marks, mut search) = (Marks::new(), Search::default());
    let cgroup = Cgroup::new("privacy");
    let start = |sender: &&'static Sender| Sending::start(sender, false, &cgroup, &marks);
    let all: Vec<Sending> = senders.iter().map(start).collect();
    for sending in &all {
        wait_until(SOON, &sending.what, || {
            sending.peer.plaintext().iter().any(|one| marks.are_both_in(&one.received)).then_some(())
        });
    }
    let watchers = Watchers::start(folder.path(), &cgroup);
    for sending in all {
        search.look_at_maps(&marks, &sending.what, watchers.lines.pid());
        sending.look(&watchers, &marks, &mut search);
    }
    watchers.end(&marks, search);
}

/// A client at work.
struct Sending {
    sender: &'static Sender,
    what: String,
    peer: Peer,
    client: Program,
    stalls: bool,
}

impl Sending {
    fn start(sender: &'static Sender, without_tls: bool, cgroup: &Cgroup, marks: &Marks) -> Self {
        let peer = Peer::start(if without_tls { &["h2c"] } else { &[] });
        let scheme = if without_tls { "http" } else { "https" };
        let words = (sender.command)(&peer, &format!("{scheme}://{}", peer.address), marks);
        let client = Program::start_with(&words, |command| {
            command.env("H2WATCH_MARK_HEADER", &marks.header).env("H2WATCH_MARK_BODY", &marks.body);
            cgroup.start_inside(command);
        });
        let what = format!("{}, {scheme}", sender.name);
        // Records of one exchange after the other do not tell how much is unanswered.
        let stalls = !without_tls && sender.view == "frames";
        Self { sender, what, peer, client, stalls }
    }

    fn look(self, watchers: &Watchers, marks: &Marks, search: &mut Search) {
        let Self { sender, what, peer, client, stalls } = self;
        let connection = watchers.wait_until_seen(&peer, sender);
        let cookie: u64 = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a cookie");
        // Of a connection that is found open there may be no event.
        let maps = ["SLOTS", "CONNECTIONS", "EVENTS"].into_iter();
        let maps = maps.take(if connection["joined_late"] == true { 2 } else { 3 });
        for pid in watchers.pids() {
            let dumps = search.look_at_maps(marks, &what, pid);
            // The search would find what is there: the connection's own number.
            let has_cookie = |bytes: &[u8]| memchr::memmem::find(bytes, &cookie.to_ne_bytes()).is_some();
            for map in maps.clone() {
                let dump = dumps.iter().find(|dump| dump.name == map);
                assert!(dump.is_some_and(|dump| has_cookie(&dump.bytes)), "{what}: no {cookie} in {map}");
            }
        }
        search.look(marks, &format!("{what}: the exporter"), watchers.exporter.metrics().0.as_bytes());
        search.look(marks, &format!("{what}: the screen"), watchers.screens(&peer).as_bytes());
        if stalls {
            let said = watchers.said_of_a_stall(&peer);
            search.look(marks, &format!("{what}: what is said of a stall"), said.as_bytes());
        }
        // The marks did pass, in the form that was searched for.
        let passed = peer.plaintext();
        let sent = |one: &Recording| {
            if sender.name == WGET { marks.header_is_in(&one.sent) } else { marks.are_both_in(&one.sent) }
        };
        assert!(passed.iter().any(sent), "{what} sent no marks");
        assert!(passed.iter().any(|one| marks.are_both_in(&one.received)), "{what} received no marks");
        assert!(passed.iter().all(|one| one.sent.is_empty() || marks.find(&one.sent).is_some()));
        drop(client);
    }
}

#[test]
fn what_passes_is_kept_nowhere() {
    send_marks(&[&SENDERS[0]], true);
}

#[test]
#[ignore = "every client, with TLS and without: cargo xtask accept tls"]
fn what_any_client_sends_is_kept_nowhere() {
    send_marks(&SENDERS.iter().collect::<Vec<_>>(), true);
}

#[test]
fn what_passes_after_h2watch_came_late_is_kept_nowhere() {
    let late = |sender: &&Sender| ["Go", "Python ssl"].contains(&sender.name);
    send_marks_before(&SENDERS.iter().filter(late).collect::<Vec<_>>());
}

#[test]
#[ignore = "every client that can be probed: cargo xtask accept tls"]
fn what_any_client_sends_after_h2watch_came_late_is_kept_nowhere() {
    // wget2 would have done all that it has to do before its turn comes.
    let probed = |sender: &&Sender| sender.view == "frames" && sender.name != WGET;
    send_marks_before(&SENDERS.iter().filter(probed).collect::<Vec<_>>());
}
