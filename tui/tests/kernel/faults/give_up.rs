//! When the kernel gives a dead connection up is said ahead, and is right within 20 %: with a small `tcp_retries2` in the
//! client's namespace, so that it can be waited for, and with TCP_USER_TIMEOUT, which sock_diag does not have.

use super::catalogue::{self, Cut};
use crate::support::programs::role;
use crate::support::take_turns;
use crate::support::watch::{Watch, text};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);
/// Shorter than this is less than what one look at a time (250 ms), one decimal, and a kernel timer of some seconds, which may
/// be an eighth late, can tell.
const LEAST_LEFT_S: f64 = 2.0;
/// The last interval before it begins 6 s after the first retransmission, and is shortened from 6.5 s to 5 s.
const USER_TIMEOUT_MS: &str = "11000";

/// What h2watch said of a connection that the kernel gave up.
struct Said {
    sentence: String,
    /// From the sentence to the client's error.
    really_s: f64,
}

impl Said {
    fn left_s(&self) -> Option<f64> {
        let (_, left) = self.sentence.split_once(": about ")?;
        let mut words = left.split(' ');
        let number: f64 = words.next()?.parse().ok()?;
        match words.next()? {
            "ms" => Some(number / 1e3),
            "s" => Some(number),
            "min" => Some(number * 60.0),
            unit => panic!("{unit}: {}", self.sentence),
        }
    }

    fn is_right(&self) -> bool {
        let left_s = self.left_s().unwrap_or_else(|| panic!("no time: {}", self.sentence));
        println!("said {left_s:.1} s, was {:.1} s: {}", self.really_s, self.sentence);
        (left_s / self.really_s - 1.0).abs() <= 0.2
    }
}

/// Cuts the cable of a client in a namespace with this `tcp_retries2`; `calls` are its words.
fn given_up(retries2: &'static str, cut: Cut, calls: &[String]) -> Vec<Said> {
    let Cut { cable, strike, .. } = cut;
    cable
        .client
        .inside(move || std::fs::write("/proc/sys/net/ipv4/tcp_retries2", retries2).expect("a sysctl"));
    let watch = Watch::run(&[], calls);
    watch.wait_until_ready();
    watch.wait_for_word(SOON, "CONNECTED");
    strike();
    let ended_ns: u64 = {
        let word = watch.wait_for_word(SOON, "BROKEN ");
        word.split(' ').next().expect("a word").parse().expect("nanoseconds")
    };
    let said = watch.lines_from(0).into_iter().filter_map(|line| {
        let sentence = text(&line.content["connections"].get(0)?["gives_up"]);
        let really_s = (ended_ns as f64 - line.at_ns as f64) / 1e9;
        (!sentence.is_empty() && really_s > 0.0).then_some(Said { sentence, really_s })
    });
    let said: Vec<Said> = said.collect();
    watch.stop();
    // The namespace's own number is in each of them.
    let of = format!(" of {retries2}: ");
    assert!(said.iter().all(|said| said.sentence.contains(&of)));
    said
}

#[test]
fn the_kernel_gives_up_when_h2watch_says() {
    let _turn = take_turns();
    let cut = catalogue::cut_both_ways();
    let calls = cut.client.clone();
    let said = given_up("5", cut, &calls);
    let checked: Vec<_> = said.iter().filter(|said| said.really_s >= LEAST_LEFT_S).collect();
    checked.iter().for_each(|said| assert!(said.is_right(), "{}: was {} s", said.sentence, said.really_s));
    assert!(checked.len() >= 10, "only {} predictions", checked.len());
}

/// Until the last interval the prediction is that of `tcp_retries2`, and says for whom it is wrong; in it, it is right.
#[test]
fn a_user_timeout_is_reckoned_with_and_told_when_it_shows() {
    let _turn = take_turns();
    let (shorter, longer) = thread::scope(|scope| {
        let shorter = scope.spawn(|| with_user_timeout("15"));
        let longer = scope.spawn(|| with_user_timeout("1"));
        (shorter.join().expect("it ends"), longer.join().expect("it ends"))
    });
    for said in [&shorter, &longer] {
        let shows = |said: &&Said| said.sentence.ends_with("because the client set TCP_USER_TIMEOUT");
        let checked: Vec<_> =
            said.iter().filter(shows).filter(|said| said.really_s >= LEAST_LEFT_S).collect();
        checked
            .iter()
            .for_each(|said| assert!(said.is_right(), "{}: was {} s", said.sentence, said.really_s));
        assert!(checked.len() >= 4, "only {} predictions", checked.len());
        assert!(said.last().is_some_and(|last| shows(&last)));
    }
    let before = |said: &[Said], ending: &str| {
        let early = said.iter().take_while(|said| said.sentence.ends_with(ending));
        early.inspect(|said| println!("{:.1} s before the end: {}", said.really_s, said.sentence)).count()
    };
    let open = before(&shorter, "unless the client set TCP_USER_TIMEOUT");
    let past =
        before(&longer, "past the end that tcp_retries2 sets, so the client set a longer TCP_USER_TIMEOUT");
    assert!(open >= 4 && past >= 4, "said before: {open}, {past}");
}

fn with_user_timeout(retries2: &'static str) -> Vec<Said> {
    let cut = catalogue::cut_both_ways();
    let words = [&cut.remote.to_string(), "100", "1000", "/bytes/10", "0", "0", USER_TIMEOUT_MS];
    let calls = [cut.cable.client.enter(), role("caller", &words.map(str::to_owned))].concat();
    given_up(retries2, cut, &calls)
}
