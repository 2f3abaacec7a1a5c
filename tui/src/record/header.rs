//! The first line of a recording: what it is, who wrote it, with which thresholds.

use crate::verdict::{Policy, StallAfter};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The word that the first line begins with.
pub(super) const FORMAT: &str = "h2watch recording";

/// What a recording says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version of the h2watch that wrote it.
    pub h2watch: String,
    /// Kernel release it was recorded on.
    pub kernel: String,
    /// The policy it was watched with; a replay judges by the same.
    pub policy: Policy,
    pub anonymised: bool,
}

impl Header {
    /// The header of a recording made here and now.
    #[must_use]
    pub fn here(policy: Policy, anonymised: bool) -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        // What follows the version numbers names who built the kernel.
        let kernel = if anonymised { numbers(&release).to_owned() } else { release };
        Self { h2watch: env!("CARGO_PKG_VERSION").to_owned(), kernel, policy, anonymised }
    }
}

/// `6.18.44` of `6.18.44-acme-prod`.
fn numbers(release: &str) -> &str {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    &release[..end]
}

/// The line.
#[derive(Serialize, Deserialize)]
pub(super) struct HeaderWire {
    format: String,
    version: u32,
    h2watch: String,
    kernel: String,
    /// Absent: in proportion to what is normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stall_after_ns: Option<u64>,
    min_streams: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_retries2: Option<u32>,
    anonymised: bool,
}

impl From<&Header> for HeaderWire {
    fn from(header: &Header) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: super::VERSION,
            h2watch: header.h2watch.clone(),
            kernel: header.kernel.clone(),
            stall_after_ns: header.policy.fixed_ns(),
            min_streams: header.policy.min_streams,
            tcp_retries2: header.policy.tcp_retries2,
            anonymised: header.anonymised,
        }
    }
}

impl From<HeaderWire> for Header {
    fn from(wire: HeaderWire) -> Self {
        let stall_after =
            wire.stall_after_ns.map_or(StallAfter::Auto, |ns| StallAfter::Fixed(Duration::from_nanos(ns)));
        Self {
            h2watch: wire.h2watch,
            kernel: wire.kernel,
            policy: Policy { stall_after, min_streams: wire.min_streams, tcp_retries2: wire.tcp_retries2 },
            anonymised: wire.anonymised,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn header() -> Header {
        let policy = Policy {
            stall_after: StallAfter::Fixed(Duration::from_secs(3)),
            min_streams: 2,
            tcp_retries2: Some(15),
        };
        Header { h2watch: "0.1.0".into(), kernel: "6.18.0-test".into(), policy, anonymised: false }
    }

    #[test]
    fn an_anonymous_kernel_is_numbers_only() {
        assert_eq!(numbers("6.18.44-acme-prod.7"), "6.18.44");
        assert_eq!(numbers("5.10.0"), "5.10.0");
        assert!(Header::here(Policy::default(), true).kernel.chars().all(|c| c.is_ascii_digit() || c == '.'));
    }

    #[test]
    fn a_header_reads_back() {
        let auto = Header { policy: Policy::default(), anonymised: true, ..header() };
        for header in [header(), auto] {
            let text = serde_json::to_string(&HeaderWire::from(&header)).unwrap();
            assert!(text.starts_with(r#"{"format":"h2watch recording","version":1,"#), "{text}");
            assert_eq!(Header::from(serde_json::from_str::<HeaderWire>(&text).unwrap()), header);
        }
    }
}
