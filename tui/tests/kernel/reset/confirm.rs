//! `--reset confirm`: the dashboard's key `r` shows the evidence, `y` does it, and only what still holds is done.

use super::{both, link, patient, reason, steady, with};
use crate::dashboard::{Terminal, quoted};
use crate::support::link::Link;
use crate::support::programs;
use crate::support::watch::{lines_of, signal_process};
use crate::support::{take_turns, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;

/// A dashboard on a client behind a link, which has just been unplugged; `r` was pressed.
fn asked(columns: usize) -> (Terminal, Link, tempfile::NamedTempFile) {
    asked_with(columns, &["--reset", "confirm"])
}

fn asked_with(columns: usize, options: &[&str]) -> (Terminal, Link, tempfile::NamedTempFile) {
    let link = link();
    let (terminal, audit) = watched(columns, options, &patient(link.address));
    terminal.shows("the connection", |screen| screen.contains("1 healthy") || screen.contains("1 idle"));
    link.unplug();
    terminal.shows("the stall", |screen| screen.contains("1 stalled"));
    ask(&terminal);
    (terminal, link, audit)
}

fn watched(columns: usize, options: &[&str], client: &[String]) -> (Terminal, tempfile::NamedTempFile) {
    let audit = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = audit.path().to_str().expect("an ASCII path");
    let options = with(&[options, &["--audit-log", path]].concat());
    let options = quoted(&options.into_iter().map(str::to_owned).collect::<Vec<_>>());
    let terminal = Terminal::new(columns, 40);
    terminal.say(&format!("clear; {} {options} -- {}", env!("CARGO_BIN_EXE_h2watch"), quoted(client)));
    (terminal, audit)
}

fn ask(terminal: &Terminal) -> String {
    terminal.press("r");
    let question = terminal.shows("the question", |screen| screen.contains("reset this connection?"));
    assert!(question.contains("without a frame"), "with its evidence:\n{question}");
    question
}

fn decided(audit: &Path) -> Value {
    decision(audit, |_| true)
}

/// The first decision in the audit file that is `wanted`.
fn decision(audit: &Path, wanted: impl Fn(&Value) -> bool) -> Value {
    let decided = || {
        let text = std::fs::read_to_string(audit).unwrap_or_default();
        text.ends_with('\n').then(|| lines_of(audit).into_iter().find(&wanted)).flatten()
    };
    wait_until(super::SOON, "a line in the audit file", decided)
}

#[test]
fn a_person_who_saw_the_evidence_resets_it() {
    let _turn = take_turns();
    let (terminal, link, audit) = asked(101);
    terminal.press("y");
    let done = decided(audit.path());
    let peer = link.address.to_string();
    terminal.shows("what was done", |screen| screen.contains(&format!("{peer} reset done")));
    link.plug_in();
    assert_eq!((&done["mode"], &done["result"]), (&"confirm".into(), &"done".into()), "{done}");
    assert_eq!(done["connection"]["remote"], peer);
    assert!(done["latency_us"].is_null(), "it waited for a person: {done}");
    let helped = terminal
        .shows("whether it helped", |screen| screen.contains(&format!("{peer} reset; new connection after")));
    let followed = decision(audit.path(), |line| line["result"] == "followed");
    assert!(helped.contains(reason(&followed)), "{followed} is not on\n{helped}");
    terminal.press("q");
}

#[test]
fn what_recovers_while_the_person_reads_is_refused() {
    let _turn = take_turns();
    let (terminal, link, audit) = asked(102);
    link.plug_in();
    terminal.shows("the recovery", |screen| screen.contains("It is NOT stalled"));
    terminal.press("y");
    let refused = decided(audit.path());
    assert_eq!((&refused["mode"], &refused["result"]), (&"confirm".into(), &"refused".into()), "{refused}");
    assert!(reason(&refused).contains("not stalled any more"), "{refused}");
    terminal.press("q");
}

/// Nothing looks between the recovery and the yes: the interval is long, and no threshold is shorter.
#[test]
fn what_the_look_after_the_yes_finds_is_told() {
    let _turn = take_turns();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recovered = folder.path().join("recovered");
    let tee = format!("tee {}", recovered.display());
    let options = ["--reset", "confirm", "--stall-after", "2s", "--interval", "3s", "--on-recover", &tee];
    let (terminal, link, audit) = asked_with(103, &options);
    let question = terminal.shows("the question", |screen| screen.contains("reset this connection?"));
    terminal.shows("the next look", |screen| screen != question);
    let heard = || link.recordings().values().map(|recording| recording.received.len()).sum::<usize>();
    let before = heard();
    link.plug_in();
    wait_until(super::SOON, "answers", || (heard() > before).then_some(()));
    terminal.press("y");
    let refused = decided(audit.path());
    assert!(reason(&refused).contains("not stalled any more"), "{refused}");
    let incident = wait_until(super::SOON, "the command for the recovery", || {
        std::fs::read_to_string(&recovered).ok().filter(|text| text.ends_with('\n'))
    });
    let incident: Value = serde_json::from_str(&incident).expect("one line of JSON");
    assert_eq!(
        (&incident["type"], &incident["connection"]["id"]),
        (&"recover".into(), &refused["connection"]["id"])
    );
    terminal.press("q");
}

#[test]
fn a_yes_to_a_connection_that_has_gone_while_the_screen_was_paused_is_answered() {
    let _turn = take_turns();
    let (server, address) = programs::server();
    let other = link();
    let said = tempfile::NamedTempFile::new().expect("a temporary file");
    let client = format!("exec {} > {}", quoted(&patient(address)), said.path().display());
    let clients = both(&["sh".into(), "-c".into(), client], &steady(&[other.address]));
    let options = ["--reset", "auto", "--reset-after", "1h"];
    let (terminal, audit) = watched(104, &options, &clients);
    terminal.shows("both connections", |screen| {
        screen.contains(&format!("{address}")) && screen.contains(&format!("{}", other.address))
    });
    signal_process(server.pid(), Signal::STOP);
    terminal.shows("the stall", |screen| screen.contains("1 stalled"));
    terminal.press("p");
    ask(&terminal);
    drop(server);
    wait_until(super::SOON, "the end of the connection", || {
        std::fs::read_to_string(said.path()).ok().filter(|text| text.contains("BROKEN"))
    });
    // A decision about the other connection is of a look that did not find this one any more.
    other.unplug();
    decision(audit.path(), |line| line["connection"]["remote"] == other.address.to_string());
    terminal.press("y");
    let refused = decision(audit.path(), |line| line["mode"] == "confirm");
    assert_eq!(
        (&refused["result"], &refused["connection"]["remote"]),
        (&"refused".into(), &address.to_string().into())
    );
    assert!(reason(&refused).contains("closed meanwhile"), "{refused}");
    terminal.shows("the answer", |screen| screen.contains("closed meanwhile"));
    terminal.press("q");
}
