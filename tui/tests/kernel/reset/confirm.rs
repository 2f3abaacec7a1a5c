//! `--reset confirm`: the dashboard's key `r` shows the evidence, `y` does it, and only what still holds is done.

use super::{link, patient, reason, with};
use crate::dashboard::{Terminal, quoted};
use crate::support::link::Link;
use crate::support::watch::lines_of;
use crate::support::{take_turns, wait_until};
use serde_json::Value;
use std::path::Path;

/// A dashboard on a client behind a link, which has just been unplugged; `r` was pressed.
fn asked(columns: usize) -> (Terminal, Link, tempfile::NamedTempFile) {
    let audit = tempfile::NamedTempFile::new().expect("a temporary file");
    let (link, terminal) = (link(), Terminal::new(columns, 40));
    let path = audit.path().to_str().expect("an ASCII path");
    let options = with(&["--reset", "confirm", "--audit-log", path]).join(" ");
    let client = quoted(&patient(link.address));
    terminal.say(&format!("clear; {} {options} -- {client}", env!("CARGO_BIN_EXE_h2watch")));
    terminal.shows("the connection", |screen| screen.contains("1 healthy") || screen.contains("1 idle"));
    link.unplug();
    terminal.shows("the stall", |screen| screen.contains("1 stalled"));
    terminal.press("r");
    let question = terminal.shows("the question", |screen| screen.contains("reset this connection?"));
    assert!(question.contains("without a frame"), "with its evidence:\n{question}");
    (terminal, link, audit)
}

fn decided(audit: &Path) -> Value {
    let decided = || {
        let text = std::fs::read_to_string(audit).unwrap_or_default();
        (text.ends_with('\n')).then(|| lines_of(audit).swap_remove(0))
    };
    wait_until(super::SOON, "a line in the audit file", decided)
}

#[test]
fn a_person_who_saw_the_evidence_resets_it() {
    let _turn = take_turns();
    let (terminal, link, audit) = asked(101);
    terminal.press("y");
    let done = decided(audit.path());
    link.plug_in();
    assert_eq!((&done["mode"], &done["result"]), (&"confirm".into(), &"done".into()), "{done}");
    assert_eq!(done["connection"]["remote"], link.address.to_string());
    assert!(done["latency_us"].is_null(), "it waited for a person: {done}");
    terminal.shows("what was done", |screen| screen.contains("reset done"));
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
