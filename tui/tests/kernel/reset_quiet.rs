//! What is slow, lossy, far away or paused, and healthy all the same: `--reset auto` touches none of it, even when it may act on
//! every cause and at once. `quiet` is the same question for verdicts.

use crate::support::scenes;
use crate::support::take_turns;
use std::path::Path;
use std::time::Duration;

/// Without any of the limits that would hide a wrong verdict.
const AT_ONCE: [&str; 12] = [
    "--reset",
    "auto",
    "--reset-after",
    "0s",
    "--reset-cool-down",
    "0s",
    "--reset-budget",
    "1000/s",
    "--reset-budget-total",
    "1000/s",
    "--reset-causes",
    "black_hole,silent_peer,hung_server,peer_window_closed,flow_control,goaway_ignored,unknown",
];

#[test]
fn auto_resets_nothing_where_nothing_is_wrong() {
    play(Duration::from_secs(20), false);
}

#[test]
#[ignore = "ten minutes: cargo xtask accept quiet"]
fn auto_resets_nothing_in_ten_minutes() {
    let (last, setting) = scenes::long_run();
    let rows = play(last, true);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reset-quiet.md");
    std::fs::write(&file, document(&rows, last, &setting)).expect("docs/ can be written");
}

/// A row of the table for each scene.
fn play(last: Duration, all: bool) -> Vec<String> {
    let _turn = take_turns();
    let mut wrong = Vec::new();
    let mut rows = Vec::new();
    for scene in scenes::play(&AT_ONCE, last, all, "") {
        let (done, others): (Vec<_>, Vec<_>) =
            scene.ended.of("reset").into_iter().cloned().partition(|line| line["result"] == "done");
        // For the reader; whether a verdict was wrong is the question of `quiet`.
        let refused = others.iter().filter(|line| line["result"] == "refused").count();
        let row = format!("| {} | {} | {} | {refused} |", scene.name, scene.opened(), done.len());
        println!("{row}");
        rows.push(row);
        wrong.extend(done.iter().map(|line| format!("{}: {line}", scene.name)));
    }
    assert!(wrong.is_empty(), "resets of connections that were healthy: {wrong:#?}");
    rows
}

fn document(rows: &[String], last: Duration, setting: &str) -> String {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    format!(
        "\
# Where nothing is wrong, nothing is reset

`--reset auto` with every cause allowed and no limit (age, budget, cool-down), default thresholds, {} seconds of each scene of
[quiet.md](quiet.md), all at the same time. Written by `{setting}cargo xtask accept quiet` (Linux {kernel}), which fails where a
connection is reset. A refusal is a stall that was considered and left alone, with its reason.

| what goes on | streams opened | resets | refusals |
|---|---:|---:|---:|
{}
",
        last.as_secs(),
        rows.join("\n")
    )
}
