//! What clients send and receive is kept nowhere: no piece of a marked header value or body is in the maps and the ring of
//! h2watch's programs, in a recording, in the lines, the table, or what the exporter serves.

use super::clients::script;
use super::marks::Marks;
use super::peer::Peer;
use crate::support::bpf::dump_maps_of;
use crate::support::cgroup::{Cgroup, mount};
use crate::support::exporter::Exporter;
use crate::support::programs::{Program, installed};
use crate::support::watch::Watch;
use crate::support::{take_turns, tools};
use serde_json::Value;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
/// Pieces of a request that must have been seen before the search: frames with a body, or records.
const ENOUGH: u64 = 30;

struct Sender {
    name: &'static str,
    /// Words of the command for an origin with its scheme.
    command: fn(&Peer, &str, &Marks) -> Vec<String>,
    /// Whether it speaks h2c too.
    without_tls: bool,
    view: &'static str,
}

const SENDERS: [Sender; 8] = [
    Sender { name: "Node", command: node, without_tls: true, view: "frames" },
    Sender { name: "curl", command: curl, without_tls: true, view: "frames" },
    Sender {
        name: "httpx, asyncio",
        command: |_, o, _| python("async", o),
        without_tls: true,
        view: "frames",
    },
    Sender { name: "httpx, sync", command: |_, o, _| python("sync", o), without_tls: true, view: "frames" },
    Sender { name: "libgnutls", command: |_, o, _| python("gnutls", o), without_tls: false, view: "frames" },
    Sender { name: "Go", command: go, without_tls: true, view: "frames" },
    Sender { name: "rustls", command: rustls, without_tls: false, view: "records" },
    Sender { name: "Java", command: java, without_tls: false, view: "records" },
];

fn node(_: &Peer, origin: &str, _: &Marks) -> Vec<String> {
    script(&tools::program("node"), "marked/marked.mjs", &[origin])
}

/// Ends only when it is killed. Without TLS, Debian's curl 7.88 fails at the second request of a connection, whatever it is
/// (exit status 16, "Error in the HTTP2 framing layer"): there it sends one without an end.
fn curl(_: &Peer, origin: &str, marks: &Marks) -> Vec<String> {
    let header = format!("x-mark: {}", marks.header);
    if origin.starts_with("http://") {
        let options = "--no-progress-meter --http2-prior-knowledge --output /dev/null --upload-file .";
        let body = "while echo \"$H2WATCH_MARK_BODY\"; do sleep 0.01; done";
        let line = format!("exec curl {options} --header '{header}' {origin}/stream < <({body})");
        return installed("bash", &["-c", &line]);
    }
    let url = format!("{origin}/echo?[1-100000000]");
    let words = ["-sk", "--http2", "--header", &header, "--data", &marks.body, "--output", "/dev/null", &url];
    installed("curl", &words)
}

fn python(mode: &str, origin: &str) -> Vec<String> {
    script(&tools::python(), "marked/marked.py", &[mode, origin])
}

fn go(_: &Peer, origin: &str, _: &Marks) -> Vec<String> {
    let program = tools::go_client().to_string_lossy().into_owned();
    vec![program, "marked".to_owned(), origin.to_owned()]
}

fn rustls(peer: &Peer, _: &str, _: &Marks) -> Vec<String> {
    let program = tools::rustls_client().to_string_lossy().into_owned();
    vec![program, "marked".to_owned(), peer.address.to_string()]
}

fn java(peer: &Peer, _: &str, _: &Marks) -> Vec<String> {
    script(&tools::program("java"), "java/Client.java", &["marked", &peer.address.to_string()])
}

/// h2watch in each of its forms, on one cgroup.
struct Watchers {
    cgroup: Cgroup,
    lines: Watch,
    record: Watch,
    table: Program,
    exporter: Exporter,
    recording: PathBuf,
    table_file: PathBuf,
}

impl Watchers {
    fn start(folder: &Path) -> Self {
        let cgroup = Cgroup::new("privacy");
        let name =
            cgroup.path().strip_prefix(mount()).expect("below the mount").to_string_lossy().into_owned();
        let options = ["--cgroup", &name, "--tls", "frames", "--max-connections", "64"];
        let (recording, table_file) = (folder.join("marked.h2w"), folder.join("table"));
        let mut record = Command::new(env!("CARGO_BIN_EXE_h2watch"));
        record.arg("record").arg(&recording).args(["--output", "json"]).args(options);
        let record = Watch::spawn(record);
        record.wait_until_ready();
        let this = env!("CARGO_BIN_EXE_h2watch");
        let file = table_file.to_string_lossy().into_owned();
        let words = [&[this, "--output", "table", "-o", &file][..], &options].concat();
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Self {
            lines: Watch::start(&options),
            record,
            table: Program::start(&words),
            exporter: Exporter::start(&options),
            cgroup,
            recording,
            table_file,
        }
    }

    fn pids(&self) -> [u32; 4] {
        [self.lines.pid(), self.record.pid(), self.table.pid(), self.exporter.pid()]
    }

    /// The client's connection, when enough of it was seen in every form that prints lines.
    fn wait_until_seen(&self, peer: &Peer, sender: &Sender) -> Value {
        let enough = |connection: &Value| {
            let seen = |what: &str, kind: &str| connection[what][kind].as_u64().unwrap_or(0) >= ENOUGH;
            let both = |kind, sent, received| seen(sent, kind) && seen(received, kind);
            let frames = both("data", "frames_sent", "frames_received");
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
}

fn send_marks(senders: &[&Sender], both: bool) {
    let _turn = take_turns();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (marks, mut search) = (Marks::new(), Search::default());
    let watchers = Watchers::start(folder.path());
    for sender in senders {
        for without_tls in [false, true] {
            if !without_tls || both && sender.without_tls {
                send(sender, without_tls, &watchers, &marks, &mut search);
            }
        }
    }
    let Watchers { cgroup, lines, record, mut table, exporter, recording, table_file } = watchers;
    search.look(&marks, "what the exporter serves", exporter.metrics().0.as_bytes());
    search.look(&marks, "what the exporter prints", exporter.log().as_bytes());
    for (what, watch) in [("lines", lines), ("lines of the recorder", record)] {
        let ended = watch.stop();
        let printed: Vec<String> = ended.lines.iter().map(ToString::to_string).collect();
        search.look(&marks, what, (printed.join("\n") + &ended.errors).as_bytes());
    }
    crate::support::watch::signal_process(table.pid(), rustix::process::Signal::TERM);
    table.child.wait().expect("a child");
    search.look(&marks, "the table", &std::fs::read(&table_file).expect("h2watch writes its table"));
    let (file, mut text) = (std::fs::File::open(&recording).expect("a recording"), Vec::new());
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).expect("a recording is gzip");
    search.look(&marks, "the recording", &text);
    drop(cgroup);
    println!("{} bytes looked at", search.looked_at);
    assert!(search.found.is_empty(), "pieces of marks: {:#?}", search.found);
}

fn send(sender: &Sender, without_tls: bool, watchers: &Watchers, marks: &Marks, search: &mut Search) {
    let peer = Peer::start(if without_tls { &["h2c"] } else { &[] });
    let scheme = if without_tls { "http" } else { "https" };
    let words = (sender.command)(&peer, &format!("{scheme}://{}", peer.address), marks);
    let client = Program::start_with(&words, |command| {
        command.env("H2WATCH_MARK_HEADER", &marks.header).env("H2WATCH_MARK_BODY", &marks.body);
        watchers.cgroup.start_inside(command);
    });
    let connection = watchers.wait_until_seen(&peer, sender);
    let cookie: u64 = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a cookie");
    let what = format!("{}, {scheme}", sender.name);
    for pid in watchers.pids() {
        let dumps = dump_maps_of(pid);
        // The search would find what is there: the connection's own number.
        let has_cookie = |bytes: &[u8]| memchr::memmem::find(bytes, &cookie.to_ne_bytes()).is_some();
        for map in ["SLOTS", "CONNECTIONS", "EVENTS"] {
            let dump = dumps.iter().find(|dump| dump.name == map);
            assert!(dump.is_some_and(|dump| has_cookie(&dump.bytes)), "{what}: no {cookie} in {map}");
        }
        for dump in dumps.iter().filter(|dump| !dump.bytes.is_empty()) {
            search.look(marks, &format!("{what}: map {}", dump.name), &dump.bytes);
        }
    }
    search.look(marks, &format!("{what}: the exporter"), watchers.exporter.metrics().0.as_bytes());
    // The marks did pass, in the form that was searched for.
    let passed = peer.plaintext();
    assert!(passed.iter().any(|one| marks.are_both_in(&one.sent)), "{what} sent no marks");
    assert!(passed.iter().any(|one| marks.are_both_in(&one.received)), "{what} received no marks");
    assert!(passed.iter().all(|one| one.sent.is_empty() || marks.find(&one.sent).is_some()));
    drop(client);
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
