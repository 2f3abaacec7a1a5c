//! What is slow, lossy, far away or paused, and healthy all the same: `--reset auto` touches none of it, even when it may act on
//! every cause and at once. `quiet` is the same question for verdicts.

use crate::support::scenes::{self, Played, SECONDS};
use crate::support::take_turns;
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
    play(Duration::from_secs(std::env::var(SECONDS).map_or(600, |n| n.parse().expect("seconds"))), true);
}

fn play(last: Duration, all: bool) {
    let _turn = take_turns();
    let mut wrong = Vec::new();
    for Played { name, streams, ended, .. } in scenes::play(&AT_ONCE, last, all, "") {
        let (done, others): (Vec<_>, Vec<_>) =
            ended.of("reset").into_iter().cloned().partition(|line| line["result"] == "done");
        // For the reader; whether a verdict was wrong is the question of `quiet`.
        let refused = others.iter().filter(|line| line["result"] == "refused").count();
        println!("{name}: {} resets, {refused} refusals, {streams} streams in {last:?}", done.len());
        wrong.extend(done.iter().map(|line| format!("{name}: {line}")));
    }
    assert!(wrong.is_empty(), "resets of connections that were healthy: {wrong:#?}");
}
