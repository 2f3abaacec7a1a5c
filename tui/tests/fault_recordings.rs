//! Recordings of every fault, made on real sockets: replayed without rights, each has its cause, its sentence, and one stall
//! that does not flap. `tui/tests/kernel/recordings.rs` makes them anew.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use h2watch::model::Model;
use h2watch::model::snapshot::Change;
use h2watch::record::Reader;
use h2watch::verdict::Cause;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Recording, causes in their order, and the evidence of the last one with `#` for its numbers: its beginning.
const TOLD: [(&str, &[Cause], &str); 12] = [
    ("drop_both_ways", &[Cause::BlackHole], DEAD),
    ("drop_what_the_peer_sends", &[Cause::BlackHole], DEAD),
    ("drop_what_we_send", &[Cause::BlackHole], DEAD),
    (
        "drop_what_we_send_the_peer_goes_on_sending",
        &[Cause::BlackHole],
        "# streams in # s without a frame; # segment not acknowledged, retransmission timer expired # times, segments of the \
         peer still arrive (the last one # s ago): what this host sends is lost; ",
    ),
    ("server_stopped", &[Cause::SilentPeer], SILENT),
    ("proxy_forwards_nothing", &[Cause::SilentPeer], SILENT),
    (
        "server_answers_only_PING",
        &[Cause::SilentPeer, Cause::HungServer],
        "# streams in # s without HEADERS, DATA or RST_STREAM; PING was answered # s ago: the peer's HTTP/# layer is alive, \
         what is behind it is not; # streams given up without an answer",
    ),
    (
        "server_stops_reading_an_upload",
        &[Cause::PeerWindowClosed],
        "# streams in # s without a frame; the peer's receive window is closed for # s, # bytes wait in the send queue: the \
         peer's process does not read",
    ),
    (
        "no_WINDOW_UPDATE_for_the_connection",
        &[Cause::FlowControl],
        "# streams in # s without a frame; the connection's flow-control window is used up: # of # bytes sent # s ago, no \
         WINDOW_UPDATE ever came",
    ),
    (
        "no_WINDOW_UPDATE_for_streams",
        &[Cause::FlowControl],
        "# streams in # s without a frame; the stream window of # bytes is used up: # bytes of DATA in # streams and no \
         WINDOW_UPDATE for them, the last WINDOW_UPDATE came # s ago",
    ),
    (
        "GOAWAY_ignored",
        &[Cause::GoawayIgnored],
        "# streams opened after GOAWAY came # s ago (last stream #, ENHANCE_YOUR_CALM (#xb)); # streams without an answer since the peer \
         last gave one",
    ),
    (
        "client_stops_reading",
        &[Cause::ReaderBlocked],
        "# streams in # s without a frame; # bytes from the peer wait in this host's receive queue, none read for # s: the peer \
         answers, the process does not read",
    ),
];

const DEAD: &str = "# streams in # s without a frame; # segment not acknowledged, retransmission timer expired # times, nothing \
                    arrived for # s: the path is dead in at least one direction; # more bytes wait unsent";
const SILENT: &str = "# streams in # s without a frame; peer ACKed # ms ago: the path is alive, the peer's HTTP/# is not answering";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

/// What a replay says, in its order: causes, and the evidence with which each was told.
fn told(recording: &Path) -> Vec<(Cause, String)> {
    let reader = Reader::new(std::fs::File::open(recording).unwrap()).unwrap();
    let mut model = Model::new(reader.header().policy);
    let mut told = Vec::new();
    let mut stalled = BTreeSet::new();
    for sample in reader {
        for change in model.observe(&sample.unwrap()).1 {
            match change {
                Change::Stalled(c) => {
                    assert!(stalled.insert(c.reading.id), "it stalls once: {c:?}");
                    told.push((c.verdict.cause.unwrap(), c.verdict.evidence));
                }
                Change::Sharpened(c) => told.push((c.verdict.cause.unwrap(), c.verdict.evidence)),
                Change::Recovered { connection, .. } => panic!("nothing recovered: {connection:?}"),
                _ => {}
            }
        }
    }
    assert_eq!(stalled.len(), 1, "one connection stalls: {told:?}");
    told
}

/// `#` for each number.
fn shape(evidence: &str) -> String {
    let mut shape = String::new();
    for c in evidence.chars() {
        let in_number = shape.ends_with('#') && (c.is_ascii_digit() || c == '.');
        if !in_number {
            shape.push(if c.is_ascii_digit() { '#' } else { c });
        }
    }
    shape
}

#[test]
fn every_fault_has_its_cause_and_its_sentence() {
    for (name, causes, sentence) in TOLD {
        let told = told(&folder().join(format!("{name}.h2w")));
        assert_eq!(told.iter().map(|(cause, _)| *cause).collect::<Vec<_>>(), causes, "{name}: {told:?}");
        let (_, evidence) = told.last().unwrap();
        // "1 stream" is as good as "3 streams".
        let plain = |text: &str| text.replace("# streams ", "# stream ").replace("# segments ", "# segment ");
        assert!(plain(&shape(evidence)).starts_with(&plain(sentence)), "{name}: {evidence}");
    }
}

#[test]
fn every_cause_that_a_rule_can_name_is_recorded_and_every_recording_is_read() {
    let causes: BTreeSet<Cause> = TOLD.iter().flat_map(|(_, causes, _)| causes.iter().copied()).collect();
    let missing: Vec<_> = Cause::ALL.into_iter().filter(|cause| !causes.contains(cause)).collect();
    assert_eq!(missing, [Cause::Unknown], "not enough evidence is no fault");
    let names: BTreeSet<String> = TOLD.iter().map(|(name, ..)| format!("{name}.h2w")).collect();
    let files = std::fs::read_dir(folder()).unwrap();
    let files: BTreeSet<String> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, names);
}

/// What a bug report has to carry: a look at a connection takes about the same, however many frames it carried.
#[test]
fn a_reading_is_small() {
    for file in std::fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let readings: usize =
            Reader::new(&bytes[..]).unwrap().map(|sample| sample.unwrap().readings.len()).sum();
        let each = bytes.len() / readings;
        println!("{}: {each} bytes for each of {readings} readings", path.display());
        assert!((40..200).contains(&each), "{}: {each}", path.display());
    }
}

/// They are public: nobody's name or address is in them.
#[test]
fn they_are_anonymised() {
    for file in std::fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let reader = Reader::new(std::fs::File::open(&path).unwrap()).unwrap();
        assert!(reader.header().anonymised, "{}", path.display());
    }
}
