//! The page for a person: order, evidence, escaping, and nothing that needs a script.

use crate::client::get;
use crate::synthetic::{SECOND, Served, connection, named, snapshot, stalled};
use h2watch::export::HttpLimits;
use h2watch::model::sample::Losses;
use h2watch::model::snapshot::{Connection, Snapshot};
use h2watch::verdict::{Cause, Severity};

/// A morning on call: three stalls, healthy connections, one that only shows records, a loss and a degradation.
pub(crate) fn incident() -> Snapshot {
    let mut hung =
        stalled(named(connection(9, "billing", 3), "ledger.example.net"), Cause::HungServer, 20 * SECOND, 12);
    hung.verdict.severity = Severity::Warning;
    hung.verdict.gives_up = None;
    let mut pod =
        stalled(named(connection(7, "api", 1), "payments.example.com"), Cause::SilentPeer, 12 * SECOND, 137);
    pod.reading.owner.container = Some("0123456789abcdef".repeat(4));
    pod.reading.owner.pod_uid = Some("6b8e2a0c-3f4d-4f6e-9d1c-0a1b2c3d4e5f".to_owned());
    let hostile = stalled(
        named(connection(8, "<b>x</b>", 2), "\"><script>alert(1)</script>"),
        Cause::BlackHole,
        SECOND,
        3,
    );
    let mut connections = vec![pod, hostile, hung];
    connections.extend((100..130).map(|id| named(connection(id, "api", 5), "search.example.com")));
    let mut snapshot = Snapshot::clone(&snapshot(32 * SECOND, connections));
    snapshot.totals.damage = 152;
    snapshot.losses = Losses { ring_full: 2, ..Losses::default() };
    snapshot.degradations =
        vec!["this kernel has no bpf_loop: segments with more than 64 frames are cut".to_owned()];
    snapshot
}

async fn html(snapshot: Snapshot) -> String {
    let served = Served::start(HttpLimits::default()).await;
    served.exporter.observe(snapshot.into(), &[]);
    let answer = get(served.address, "/").await;
    assert!(answer.head.contains("text/html; charset=utf-8"), "{}", answer.head);
    assert!(answer.head.contains("default-src 'none'"), "{}", answer.head);
    answer.body
}

#[tokio::test]
async fn stalled_connections_come_first_with_their_evidence() {
    let html = html(incident()).await;
    let stall = html.find("137 streams in 12.4 s without a frame").expect("the evidence");
    assert!(stall < html.find("<table>").expect("the others"));
    for words in [
        "silent_peer",
        "payments.example.com",
        "The kernel gives up: RTO backoff 7 of 15: about 9 min left",
        "Fix: Go: set ReadIdleTimeout",
        "6b8e2a0c",
        "no bpf_loop",
    ] {
        assert!(html.contains(words), "{words}");
    }
}

#[tokio::test]
async fn names_cannot_become_markup_and_no_script_is_needed() {
    let html = html(incident()).await;
    assert!(!html.contains("<script") && !html.contains("<b>x</b>"));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(html.contains("http-equiv=refresh") && html.contains("name=viewport"));
}

#[tokio::test]
async fn a_crowd_is_cut_to_what_a_person_reads() {
    let connections: Vec<Connection> = (0..10_000).map(|id| connection(id, "api", 1)).collect();
    let html = html(Snapshot::clone(&snapshot(SECOND, connections))).await;
    assert_eq!(html.matches("<tr><td>").count(), 200);
    assert!(html.contains("9800 more connections"));
    assert!(html.len() < 100_000, "{} bytes", html.len());
}
