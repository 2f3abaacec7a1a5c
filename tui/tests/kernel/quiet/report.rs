//! The table of what is no stall, as text for people.

use crate::support::scenes::{LONG_PAUSE, Played};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Writes `docs/quiet.md`. `setting`: what was set for the run, as it was typed.
pub(super) fn write(played: &[Played], last: Duration, setting: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/quiet.md");
    std::fs::write(&file, document(played, last, setting)).expect("docs/ can be written");
}

fn document(played: &[Played], last: Duration, setting: &str) -> String {
    let seconds = last.as_secs();
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut text = format!(
        "\
# What is no stall

What is slow, lossy, far away, quiet or paused, and healthy all the same, for {seconds} seconds each, all at the same time, h2watch with its
default settings. Written by `{setting}cargo xtask accept quiet` (Linux {kernel}), which fails where a stall is reported.

The clients take the whole answer of each request, and wait for it however long it takes. Over TLS they are Node (OpenSSL, seen frame by
frame) and one with rustls that nothing can be probed of; what that one opened is not known, and the records that it sent are counted. The link
of \"300 ms round trip\" and \"link flaps\" is a pair of tun devices: TCP itself sees the round trip and the loss. \"Paused\" is stopped for 8 s
again and again, and once for {} s.

| what goes on | streams opened | stalls reported |
|---|---:|---:|
",
        LONG_PAUSE.as_secs()
    );
    for scene in played {
        let stalls = scene.ended.of("stall").len();
        let _ = writeln!(text, "| {} | {} | {stalls} |", scene.name, scene.opened());
    }
    text
}
