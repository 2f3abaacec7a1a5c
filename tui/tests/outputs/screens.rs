//! The screens as text, at 80x24 and 200x50. Time stands still: all of it comes from the snapshot.

use crate::fixture::{self, MS, SECOND};
use crate::keys::{press, ui};
use h2watch::dashboard::{Banner, Message, Theme, UiState, draw};
use h2watch::model::sample::{Library, Losses, View};
use h2watch::model::snapshot::{Connection, Snapshot};
use h2watch::reset::outcome::Recovery;
use h2watch::reset::policy::Mode;
use h2watch::reset::{Action, Report};
use h2watch::verdict::{Cause, State, Verdict};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use std::time::Duration;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);

fn screen(snapshot: &Snapshot, ui: &UiState, (columns, rows): (u16, u16)) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, snapshot, ui)).unwrap();
    terminal.backend().clone()
}

/// Compares with the recorded screens of both sizes, after the keys were pressed.
fn check(name: &str, snapshot: &Snapshot, keys: &str, prepare: impl Fn(&mut UiState)) {
    for size in [SMALL, LARGE] {
        let mut ui = ui(size);
        prepare(&mut ui);
        press(&mut ui, keys, snapshot);
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), screen(snapshot, &ui, size));
    }
}

fn waiting() -> Connection {
    let mut connection = fixture::stalled(31, Cause::Unknown, 1_240 * MS, 4);
    connection.verdict = Verdict {
        state: State::Waiting,
        evidence: "4 streams in 1.2 s without a frame; 1.8 s more make a stall".into(),
        ..Verdict::default()
    };
    connection.stalled_since_ns = None;
    connection.damage = 0;
    connection.stalls = 0;
    connection
}

fn healthy() -> Snapshot {
    fixture::snapshot(vec![
        fixture::healthy(1, 4_213, "orders-api", "10.0.3.17:8443"),
        fixture::healthy(2, 4_213, "orders-api", "[2001:db8:42::17]:8443"),
        fixture::streams(3, 977, "curl", "198.51.100.7:443", Library::OpenSsl),
        fixture::idle(4, 31_204, "node", "10.0.9.2:50051"),
    ])
}

/// One of everything, most severe first.
fn stalled() -> Snapshot {
    let mut goaway = fixture::stalled(14, Cause::GoawayIgnored, 31 * SECOND, 9);
    goaway.reading.received.goaway = Some(fixture::goaway(31 * SECOND));
    let mut connections = vec![
        fixture::stalled(11, Cause::BlackHole, 12_440 * MS, 37),
        fixture::stalled(12, Cause::PeerWindowClosed, 754 * SECOND, 1_204),
        goaway,
        fixture::stalled(15, Cause::HungServer, 3 * 3_600 * SECOND + 245 * SECOND, 120_411),
        waiting(),
    ];
    connections[1].reading.owner.comm = "payments-worker-with-a-long-name".into();
    connections[1].reading.remote = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535".parse().unwrap();
    connections.extend(healthy().connections);
    fixture::snapshot(connections)
}

fn lossy() -> Snapshot {
    let mut snapshot = stalled();
    snapshot.losses = Losses { connections_full: 12, ring_full: 3_004, ..Losses::default() };
    for connection in &mut snapshot.connections[5..7] {
        connection.reading.streams.approximate = true;
        connection.reading.received.desyncs = 2;
        connection.reading.received.holes = 41;
    }
    snapshot.connections[6].reading.received.resyncing = true;
    snapshot
}

fn degraded() -> Snapshot {
    let mut snapshot = stalled();
    snapshot.degradations = vec![
        "this kernel (5.10) has no bpf_loop (5.17 and newer): at most 64 frames of a segment are walked"
            .into(),
        "no CAP_NET_ADMIN: TCP facts of other network namespaces cannot be read".into(),
    ];
    snapshot.losses.frame_budget = 7;
    let node = "libssl is linked into the executable, which is stripped: no symbol to probe; records only";
    snapshot.processes = vec![
        fixture::process(977, "curl", Some(Library::OpenSsl), View::Streams, "libssl.so.3, OpenSSL 3.0.17"),
        fixture::process(31_204, "node", None, View::Records, node),
    ];
    snapshot
}

fn records() -> Snapshot {
    let mut silent = fixture::records(21, 8_812, "java", "203.0.113.80:443");
    silent.reading.first_unanswered_ns = fixture::ago(7_100 * MS);
    silent.reading.last_heard_ns = fixture::ago(7_230 * MS);
    silent.reading.unanswered_records = 37;
    silent.stalled_since_ns = fixture::ago(4_100 * MS);
    silent.stalls = 1;
    silent.verdict = fixture::stalled(1, Cause::SilentPeer, SECOND, 2).verdict;
    silent.verdict.evidence =
        "37 TLS records in 7.1 s without one from the peer; peer ACKed 0.2 s ago: the path is alive".into();
    let mut other = fixture::records(22, 8_812, "java", "203.0.113.80:443");
    other.reading.tls.as_mut().unwrap().server_name =
        Some("日本語サーバー.very-long-name-of-a-service.namespace.svc.cluster.local".into());
    let mut snapshot = fixture::snapshot(vec![silent, other]);
    let reason = "JSSE does its own TLS inside the JVM: no library to probe";
    snapshot.processes = vec![fixture::process(8_812, "java", None, View::Records, reason)];
    snapshot
}

#[test]
fn empty() {
    check("empty", &fixture::snapshot(vec![]), "", |_| {});
}

#[test]
fn healthy_connections() {
    check("healthy", &healthy(), "", |_| {});
}

#[test]
fn stalled_connections() {
    check("stalled", &stalled(), "", |_| {});
}

#[test]
fn lossy_run() {
    check("lossy", &lossy(), "jjjjjj", |_| {});
}

#[test]
fn degraded_run() {
    check("degraded", &degraded(), "", |_| {});
    check("coverage", &degraded(), "c", |_| {});
}

#[test]
fn records_view() {
    check("records", &records(), "", |_| {});
    check("records_detail", &records(), "\n", |_| {});
}

#[test]
fn details() {
    check("detail", &stalled(), "\n", |_| {});
    check("detail_end", &stalled(), "jj\nG", |_| {});
    check("detail_of_a_healthy_one", &healthy(), "\n", |_| {});
}

#[test]
fn a_detail_of_a_closed_connection_says_so() {
    let mut ui = ui(SMALL);
    press(&mut ui, "\n", &healthy());
    insta::assert_snapshot!("detail_gone_80x24", screen(&fixture::snapshot(vec![]), &ui, SMALL));
}

#[test]
fn help() {
    check("help", &stalled(), "?", |_| {});
}

#[test]
fn filter() {
    check("filter_editing", &stalled(), "/node", |_| {});
    check("filter", &stalled(), "/orders hole\n", |_| {});
    check("filter_without_match", &stalled(), "/nothing like it\n", |_| {});
}

#[test]
fn banners() {
    let recording = Banner::Recording("checkout-2026-03-14.h2w".into());
    check("recording", &stalled(), "p", |ui| ui.banner = recording.clone());
    check("demo", &healthy(), "", |ui| ui.banner = Banner::Demo { unplugged: false });
    check("demo_unplugged", &stalled(), "", |ui| ui.banner = Banner::Demo { unplugged: true });
}

/// Whatever is on the screen and whatever lies over it; `shows`: what only that has.
#[test]
fn a_recording_is_labelled_on_every_screen_and_under_every_overlay() {
    let snapshot = degraded();
    let screens = [
        ("", "STATE"),
        ("\n", "coverage    frames"),
        ("\nG", "coverage    frames"),
        ("c", "What is seen, what is not, and why"),
        ("o", "a line of the command"),
        ("/node\n", "STATE"),
    ];
    for (keys, shows) in screens {
        for overlay in ["", "?", "r", "/x", "p"] {
            for size in [SMALL, LARGE, (40, 12)] {
                let mut ui = ui(size);
                ui.reset_allowed = true;
                ui.banner = Banner::Recording("checkout.h2w".into());
                ui.output = Some(vec!["a line of the command".to_owned()]);
                press(&mut ui, keys, &snapshot);
                let under = screen(&snapshot, &ui, LARGE).to_string();
                press(&mut ui, overlay, &snapshot);
                let text = screen(&snapshot, &ui, size).to_string();
                assert!(text.contains(" RECORDING  checkout.h2w"), "{keys:?} {overlay:?} {size:?}: {text}");
                assert!(size != LARGE || under.contains(shows), "{keys:?} is another screen: {under}");
            }
        }
    }
}

#[test]
fn reset() {
    let allow = |ui: &mut UiState| ui.reset_allowed = true;
    check("reset_confirm", &stalled(), "r", allow);
    check("reset_of_a_healthy_one", &healthy(), "r", allow);
    // Where frames were missed, how many fail is not exact.
    let mut of_a_lossy_one = ui(SMALL);
    allow(&mut of_a_lossy_one);
    press(&mut of_a_lossy_one, "jjjjjr", &lossy());
    let question = screen(&lossy(), &of_a_lossy_one, SMALL).to_string();
    assert!(question.contains("about 7 streams in flight fail at once"), "{question}");
    check("reset_off", &stalled(), "r", |_| {});
    let (opened, first_frame) = (Duration::from_millis(3), Duration::from_millis(5));
    let report = Report {
        at_ns: 0,
        connection: stalled().connections.swap_remove(0),
        mode: Mode::Confirm,
        action: Action::Followed {
            recovery: Recovery::Recovered { opened, first_frame },
            streams_lost: Some(37),
        },
    };
    check("reset_outcome", &stalled(), "", |ui| ui.message = Some(Message::from(&report)));
}

#[test]
fn output_of_the_command() {
    let lines: Vec<_> = (1..=60).map(|n| format!("request {n}\t200 OK\u{1b}[31m")).collect();
    check("output", &healthy(), "o", |ui| ui.output = Some(lines.clone()));
}

#[test]
fn a_thousand_connections_scroll_with_the_selection() {
    let many = (0..1_000).map(|i| fixture::healthy(i, 9, "load", "10.0.0.9:80"));
    check("thousand", &fixture::snapshot(many.collect()), "GKkkk", |_| {});
}

/// Nothing may panic however small the terminal is, on any screen.
#[test]
fn every_size_can_be_drawn() {
    let snapshot = degraded();
    for keys in ["", "\n", "\nG", "c", "o", "?", "r", "/x", "/x\n"] {
        for columns in [0, 1, 3, 9, 25, 50, 79, 130] {
            for rows in [0, 1, 2, 3, 4, 5, 7, 10, 14, 15, 16, 17, 24] {
                let mut ui = ui((columns, rows));
                ui.reset_allowed = true;
                ui.banner = Banner::Recording("x".into());
                ui.output = Some(vec!["日本語サーバー".repeat(20)]);
                press(&mut ui, keys, &snapshot);
                screen(&snapshot, &ui, (columns, rows));
            }
        }
    }
}

#[test]
fn without_colour_no_cell_has_one_and_severity_still_shows() {
    let (snapshot, mut ui) = (lossy(), ui(SMALL));
    ui.theme = Theme::new(true);
    let screen = screen(&snapshot, &ui, SMALL);
    assert!(screen.buffer().content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(screen.to_string().contains("!! peer_window_closed"), "{screen}");
}

#[test]
fn losses_are_red_only_when_there_are_any() {
    for (snapshot, colour) in [(lossy(), Color::LightRed), (stalled(), Color::DarkGray)] {
        let screen = screen(&snapshot, &ui(SMALL), SMALL);
        let row = (0..80).map(|x| screen.buffer()[(x, 1)].symbol()).collect::<String>();
        let place = u16::try_from(row.find("losses").unwrap()).unwrap();
        assert_eq!(screen.buffer()[(place, 1)].fg, colour, "{row}");
    }
}
