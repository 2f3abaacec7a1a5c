//! `h2watch demo`, live: without a terminal it plays itself, for people and for programs; on one a person plays it.

use crate::dashboard::Terminal;
use crate::support::tools;
use crate::support::watch::{Ended, Watch, text};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The link that the demo unplugs leads there.
const UNPLUGGED: &str = "127.0.2.1:";
const AT_MOST: Duration = Duration::from_secs(15);

fn demo(arguments: &[&str]) -> Command {
    tools::require_root();
    let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
    command.arg("demo").args(arguments).stdin(Stdio::null());
    command
}

/// Both at the same time: they have nothing to do with each other.
#[test]
fn without_a_terminal_it_plays_itself() {
    let _turn = crate::support::take_turns();
    let arguments = ["--output", "json", "--for", "10s", "--unplug-after", "3s"];
    let for_programs = Watch::spawn(demo(&arguments));
    let began = Instant::now();
    let for_people = demo(&[]).output().expect("h2watch starts");
    let took = began.elapsed();
    let (said, errors) =
        (String::from_utf8_lossy(&for_people.stdout), String::from_utf8_lossy(&for_people.stderr));
    println!("{said}");
    assert_eq!(for_people.status.code(), Some(0), "{said}{errors}");
    assert!(took < AT_MOST, "{took:?}");
    assert_tells_the_story(&said);
    assert_reports_the_story(&for_programs.end(AT_MOST));
}

/// Each of them on a line behind the one before.
fn assert_tells_the_story(said: &str) {
    assert!(!said.contains(['\u{1b}', '\r']), "no escape sequences: {said:?}");
    assert!(!said.contains("RECORDING"), "it is live: {said}");
    let mut lines = said.lines();
    for words in [
        &["ready", "watching cgroup"][..],
        &["5 connections", "all of them answer or are quiet"],
        &["link to", UNPLUGGED, "unplugged: it copies nothing any more"],
        &[UNPLUGGED, "waiting:", "streams unanswered"],
        &["STALLED", UNPLUGGED, "silent_peer"],
        &["streams in 3.", "without a frame", "the peer's HTTP/2 is not answering"],
        &["link to", UNPLUGGED, "plugged in again"],
        &["recovered", UNPLUGGED, "stalled for"],
        &["all of them answer or are quiet"],
        &["h2watch saw 5 connections", "1 stall,"],
        &["the client itself counted", "timed out, 0 failed"],
        &["summary", "watched for"],
        &["losses", "none: nothing was missed"],
    ] {
        let is = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(lines.any(is), "{words:?} is not there, or not in this order: {said}");
    }
    // Nobody has to believe the probe.
    let counted = |before: &str, after: &str| {
        let rest = said.split_once(before).expect(before).1;
        rest.split_once(after).expect(after).0.rsplit(' ').next().map(str::to_owned)
    };
    assert_eq!(counted("h2watch saw", " streams"), counted("itself counted", " streams"), "{said}");
}

fn assert_reports_the_story(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert!(ended.lines.iter().all(|line| line["recording"].is_null()), "it is live");
    let told: Vec<&str> = ended.lines.iter().filter_map(|line| line["type"].as_str()).collect();
    let mut rest = told.iter();
    for kind in ["ready", "open", "stall", "recover", "close", "summary"] {
        assert!(rest.any(|told| *told == kind), "{kind} is not there, or not in this order: {told:?}");
    }
    assert_eq!((ended.of("open").len(), ended.of("stall").len()), (5, 1), "{told:?}");
    let stall = &ended.of("stall")[0]["connection"];
    assert!(text(&stall["remote"]).starts_with(UNPLUGGED), "{stall}");
    assert_eq!((&stall["verdict"], &stall["cause"]), (&"stalled".into(), &"silent_peer".into()), "{stall}");
    assert!(text(&stall["evidence"]).contains("without a frame"), "{stall}");
    let summary = ended.summary();
    let duration_ms = summary["duration_ms"].as_u64().expect("a number");
    assert!((10_000..12_000).contains(&duration_ms), "--for 10s: {summary}");
    assert_eq!(summary["totals"]["stalls"], Value::from(1), "{summary}");
    assert_eq!(summary["losses"]["total"], Value::from(0), "{summary}");
}

#[test]
fn on_a_terminal_the_key_u_unplugs_and_plugs_in() {
    let _turn = crate::support::take_turns();
    let terminal = Terminal::new(80, 25);
    terminal.shows("the shell", |screen| screen.contains("shell$"));
    let modes = terminal.modes();
    terminal.say(&format!("clear; {} demo", env!("CARGO_BIN_EXE_h2watch")));
    let is_healthy = |screen: &str| {
        screen.contains("DEMO  press u to unplug the link")
            && screen.contains(UNPLUGGED)
            && !screen.contains("stalled")
    };
    terminal.shows("five connections", is_healthy);
    terminal.press("u");
    terminal.shows("what the key did", |screen| screen.contains("the link is UNPLUGGED: press u to plug"));
    let stalled = terminal.shows("the stall", |screen| {
        let row = screen.lines().find(|line| line.contains(UNPLUGGED));
        screen.contains("1 stalled") && row.is_some_and(|row| row.contains("silent_peer"))
    });
    assert!(stalled.contains("without a frame"), "with its evidence:\n{stalled}");
    println!("{stalled}");
    terminal.press("u");
    terminal.shows("the recovery", is_healthy);
    terminal.press("q");
    terminal.shows("the shell again", |screen| screen.trim_end().ends_with("shell$"));
    assert_eq!(terminal.modes(), modes, "screen, cursor and mouse are as before");
}
