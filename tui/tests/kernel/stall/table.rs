//! The table of how soon a stall is told, as text for people.

use super::Row;
use crate::support::tools;
use std::fmt::Write as _;
use std::time::Duration;

/// Environment variables: how many runs of each fault, and whether the table goes into docs/.
pub(super) const RUNS: &str = "H2WATCH_STALL_RUNS";
const WRITE: &str = "H2WATCH_STALL_TABLE";

/// Prints it, and writes `docs/stalls.md` where that is asked for.
pub(super) fn write(rows: &[Row], stall_after: Duration, stream_every_ms: u64) {
    let text = document(rows, stall_after, stream_every_ms);
    println!("{text}");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(tools::workspace().join("docs/stalls.md"), text).expect("docs can be written");
    }
}

fn document(rows: &[Row], stall_after: Duration, stream_every_ms: u64) -> String {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut text = format!(
        "\
# How soon a stall is told, over cleartext

Milliseconds from the threshold (`--stall-after {stall_after:?}`) to the `stall` line. The silence begins with the first stream that the
client opens since it last heard anything, by its own clock or by h2watch's, whichever is later. One client with five connections opens
a stream every {stream_every_ms} ms on each, and cancels what has no answer after 100 ms; each connection is killed and revived again and again, all five
at the same time. *Unplugged link*: a proxy stops copying, with all sockets open. *Stopped server*: SIGSTOP. A run that was too slow is
made again (*again*) when the machine did not run h2watch, or anybody, for 25 ms of it. Written by `cargo xtask accept stall` with
`{WRITE}=1` (Linux {kernel}); [tls-stalls.md](tls-stalls.md) is the same through TLS.

| fault | runs | again | p50 | p99 | max |
|---|---:|---:|---:|---:|---:|
"
    );
    for row in rows {
        let (p50, p99, max) = (row.at(0.5), row.at(0.99), row.at(1.0));
        let (fault, runs, again) = (row.fault, row.beyond_ms.len(), row.again);
        _ = writeln!(text, "| {fault} | {runs} | {again} | {p50:.1} | {p99:.1} | {max:.1} |");
    }
    text
}
