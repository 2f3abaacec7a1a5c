//! When the kernel gives a dead connection up is said ahead, and is right within 20 %: with a small `tcp_retries2` in the
//! client's namespace, so that it can be waited for.

use super::catalogue;
use crate::support::take_turns;
use crate::support::watch::{Watch, text};
use std::time::Duration;

const RETRIES2: &str = "5";
const SOON: Duration = Duration::from_secs(40);
/// Shorter than this is less than what one look at a time (250 ms) and one decimal can tell.
const LEAST_LEFT_S: f64 = 2.0;

#[test]
fn the_kernel_gives_up_when_h2watch_says() {
    let _turn = take_turns();
    let catalogue::Cut { cable, client, strike, .. } = catalogue::cut_both_ways();
    cable.client.inside(|| std::fs::write("/proc/sys/net/ipv4/tcp_retries2", RETRIES2).expect("a sysctl"));
    let watch = Watch::run(&[], &client);
    watch.wait_until_ready();
    watch.wait_for_word(SOON, "CONNECTED");
    strike();
    let ended_ns: u64 = {
        let word = watch.wait_for_word(SOON, "BROKEN ");
        word.split(' ').next().expect("a word").parse().expect("nanoseconds")
    };
    let mut checked = 0;
    for line in watch.lines_from(0) {
        let connection = line.content["connections"].get(0).cloned().unwrap_or_default();
        let Some(said_s) = seconds_left(&text(&connection["gives_up"])) else { continue };
        let really_s = (ended_ns as f64 - line.at_ns as f64) / 1e9;
        if really_s < LEAST_LEFT_S {
            continue;
        }
        checked += 1;
        println!("said {said_s:.1} s, was {really_s:.1} s: {}", text(&connection["gives_up"]));
        assert!((said_s / really_s - 1.0).abs() <= 0.2, "said {said_s} s, was {really_s} s: {connection}");
    }
    assert!(checked >= 10, "only {checked} predictions");
    watch.stop();
}

/// "RTO backoff 4 of 5: about 9.9 s left, ...". The namespace's own number must be in it.
fn seconds_left(sentence: &str) -> Option<f64> {
    let (before, left) = sentence.split_once(": about ")?;
    assert!(before.ends_with(&format!("of {RETRIES2}")), "{sentence}");
    let mut words = left.split(' ');
    let number: f64 = words.next()?.parse().ok()?;
    match words.next()? {
        "ms" => Some(number / 1e3),
        "s" => Some(number),
        "min" => Some(number * 60.0),
        unit => panic!("{unit}: {sentence}"),
    }
}
