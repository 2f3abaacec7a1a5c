//! What is slow, lossy, far away or paused, and healthy all the same: with h2watch's default settings nothing is flagged.

use super::report;
use crate::support::scenes::{self, Played};
use crate::support::take_turns;
use serde_json::Value;
use std::time::Duration;

/// While one is being looked into: only those with this in their names.
const ONLY: &str = "H2WATCH_QUIET";

#[test]
fn nothing_is_flagged_where_nothing_is_wrong() {
    play(Duration::from_secs(25), false);
}

#[test]
#[ignore = "ten minutes: cargo xtask accept quiet"]
fn nothing_is_flagged_in_ten_minutes() {
    let (last, setting) = scenes::long_run();
    let played = play(last, true);
    if scenes::is_all(&played) {
        report::write(&played, last, &setting);
    }
}

fn play(last: Duration, all: bool) -> Vec<Played> {
    let _turn = take_turns();
    let only = std::env::var(ONLY).unwrap_or_default();
    let played = scenes::play(&[], last, all, &only);
    let mut flagged = Vec::new();
    for Played { name, streams, ended, .. } in &played {
        let stalls = ended.of("stall");
        println!("{name}: {} stalls, {streams} streams in {last:?}", stalls.len());
        flagged.extend(stalls.iter().map(|stall| format!("{name}: {}", said(stall))));
    }
    assert!(flagged.is_empty(), "flagged, and nothing was wrong: {flagged:#?}");
    played
}

fn said(stall: &Value) -> String {
    let connection = &stall["connection"];
    format!("{} {}: {} {}", stall["time"], connection["cause"], connection["evidence"], connection["tcp"])
}
