//! What an independent parser (Python's hyperframe) counts in the bytes that a link recorded.

use super::link::Recording;
use super::tools;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// Frames by type, in the names of h2watch's JSON.
pub(crate) type Frames = BTreeMap<String, u64>;

/// One direction, counted.
#[derive(Clone, Debug, Default, serde::Deserialize, PartialEq)]
pub(crate) struct Counted {
    pub(crate) frames: Frames,
    /// Distinct odd streams with HEADERS.
    pub(crate) streams: u64,
    /// Bytes behind the last whole frame; 0 where the recording ends with one.
    pub(crate) rest: u64,
    /// What it says in fixed fields of its frames, as `values` in oracle.py names it.
    pub(crate) values: Value,
}

/// A connection, counted.
#[derive(Clone, Debug, Default, serde::Deserialize, PartialEq)]
pub(crate) struct Exchange {
    pub(crate) sent: Counted,
    pub(crate) received: Counted,
    /// Streams that are open at the end of the recording, and those of them without response HEADERS.
    pub(crate) in_flight: u64,
    pub(crate) without_answer: u64,
}

/// Counts every recording; the result is in the same order.
pub(crate) fn count(recordings: &[&Recording]) -> Vec<Exchange> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (i, recording) in recordings.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{i}.sent")), &recording.sent).expect("a temporary file");
        std::fs::write(folder.path().join(format!("{i}.received")), &recording.received)
            .expect("a temporary file");
    }
    let output = Command::new(tools::python())
        .arg(tools::client_source("oracle.py"))
        .arg(folder.path())
        .arg(recordings.len().to_string())
        .output()
        .expect("python starts");
    assert!(output.status.success(), "oracle.py: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the oracle prints JSON")
}

/// `b - a`, type by type.
pub(crate) fn difference(b: &Frames, a: &Frames) -> Frames {
    b.iter()
        .map(|(kind, n)| (kind.clone(), n - a.get(kind).copied().unwrap_or(0)))
        .filter(|(_, n)| *n > 0)
        .collect()
}
