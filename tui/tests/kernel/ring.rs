//! When h2watch wakes up: at once when a stream is opened past a threshold, and hardly at all while nothing waits.

use crate::support::compare::number;
use crate::support::link::Link;
use crate::support::programs::role;
use crate::support::watch::Watch;
use crate::support::{servers, take_turns};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);
/// The interval is no help.
const FAR: &str = "10s";

/// After an idle time nothing but the kernel's ring can know that a stream was opened: there is no other one for 3 s.
#[test]
fn the_first_stream_after_an_idle_time_rings() {
    let _turn = take_turns();
    let link = Link::to(servers::start());
    let client =
        role("steady", &["3000", "60000", "/bytes/10", &link.address.to_string()].map(str::to_owned));
    let started = Instant::now();
    let options = ["--stall-after", "300ms", "--min-streams", "1", "--interval", FAR];
    let mut watch = Watch::run(&options, &client);
    watch.wait_until_ready();
    watch.wait_for_word(SOON, "CONNECTED");
    watch.tell("pause");
    watch.wait_for_word(SOON, "PAUSED");
    link.unplug();
    watch.tell("resume");
    let stall = watch.wait_for(SOON, "stall", |line| line["type"] == "stall");
    let silence_ms = number(&stall.content["connection"], "silence_ms");
    println!("flagged after {silence_ms} ms of silence, threshold 300 ms, interval {FAR}");
    assert!(started.elapsed() < SOON, "a tick may have found it: this machine is too slow for the test");
    assert!(silence_ms < 1_000, "flagged after {silence_ms} ms: {}", stall.content);
}

/// One stream is no stall, so no clock is set. The second one comes past the threshold and between two ticks.
#[test]
fn a_stream_that_is_opened_past_the_threshold_rings() {
    let _turn = take_turns();
    let server = servers::start().to_string();
    let client = role("steady", &["2300", "60000", "/hang", &server].map(str::to_owned));
    let watch = Watch::run(&["--stall-after", "2s", "--interval", "2s"], &client);
    let stall = watch.wait_for(SOON, "stall", |line| line["type"] == "stall");
    let silence_ms = number(&stall.content["connection"], "silence_ms");
    println!("flagged after {silence_ms} ms of silence, the second stream was opened after 2300 ms");
    assert!((2_300..2_800).contains(&silence_ms), "flagged after {silence_ms} ms: {}", stall.content);
    assert_eq!(number(&stall.content["connection"], "streams_unanswered"), 2);
}

/// The threshold of a 10 ms world, a connection, and nothing to do: whatever the interval is, h2watch sleeps through it.
#[test]
fn nothing_that_waits_costs_nothing_with_a_threshold_of_milliseconds() {
    let _turn = take_turns();
    for (interval, allowed_per_s) in [("250ms", 40.0), ("8ms", 400.0)] {
        let options =
            ["--stall-after", "8ms", "--min-streams", "1", "--reset", "auto", "--interval", interval];
        let client = role("quiet", &["60".to_owned(), format!("{}=!/bytes/10", servers::start())]);
        let watch = Watch::run(&options, &client);
        watch.wait_until_ready();
        watch.wait_for_word(SOON, "SETTLED");
        watch.fresh_snapshot();
        let (began, before) = (Instant::now(), watch.wake_ups());
        std::thread::sleep(Duration::from_secs(1));
        let per_s = (watch.wake_ups() - before) as f64 / began.elapsed().as_secs_f64();
        println!("interval {interval}: {per_s:.0} wake-ups a second");
        assert!(per_s < allowed_per_s, "interval {interval}: {per_s:.0} wake-ups a second");
        let ended = watch.stop();
        assert!(ended.of("reset").is_empty(), "{:#?}", ended.of("reset"));
    }
}
