//! The demo's traffic with its real child process: it begins when told, counts, can be unplugged, ends with its input.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use h2watch::demo::{Counts, Traffic};
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

fn traffic() -> Traffic {
    Traffic::spawn_program(Path::new(env!("CARGO_BIN_EXE_h2watch")), None).unwrap()
}

async fn reach(traffic: &Traffic, wanted: impl Fn(Counts) -> bool) -> Counts {
    let reached = async {
        while !wanted(traffic.counts()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        traffic.counts()
    };
    tokio::time::timeout(DEADLINE, reached)
        .await
        .unwrap_or_else(|_| panic!("stopped at {:?}", traffic.counts()))
}

#[tokio::test]
async fn it_begins_when_told_times_out_when_unplugged_and_recovers() {
    let mut traffic = traffic();
    let comm = format!("/proc/{}/comm", traffic.pid());
    traffic.begin().await.unwrap();
    reach(&traffic, |c| c.answered > 20).await;
    assert_eq!(std::fs::read_to_string(comm).unwrap(), "demo-client\n");
    traffic.unplug();
    let cut = reach(&traffic, |c| c.timed_out > 20).await;
    traffic.plug();
    reach(&traffic, |c| c.answered > cut.answered + 100).await;
    let end = traffic.end().await.unwrap();
    assert_eq!(end.opened, end.answered + end.timed_out, "{end:?}");
}

#[tokio::test]
async fn it_opens_nothing_before_it_is_told() {
    let traffic = traffic();
    assert_eq!(traffic.end().await.unwrap(), Counts::default());
}

#[tokio::test]
async fn dropping_it_ends_the_process() {
    let mut traffic = traffic();
    traffic.begin().await.unwrap();
    reach(&traffic, |c| c.answered > 0).await;
    let process = format!("/proc/{}/stat", traffic.pid());
    drop(traffic);
    let gone = async {
        // A zombie that nobody has waited for yet still has a stat file: state Z.
        while std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("the client is still there");
}
