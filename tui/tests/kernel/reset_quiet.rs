//! What is slow, lossy, far away or paused, and healthy all the same: `--reset auto` touches none of it, even when it may act on
//! every cause and at once. `quiet` is the same question for verdicts.

use crate::support::cgroup::Cgroup;
use crate::support::compare::number;
use crate::support::far::Far;
use crate::support::netns::Cable;
use crate::support::programs::{self, Program};
use crate::support::traffic::{busy, busy_between, patient};
use crate::support::watch::{Watch, signal_process};
use crate::support::{servers, take_turns};
use rustix::process::Signal;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds for each of them, in `cargo xtask accept quiet`.
const SECONDS: &str = "H2WATCH_QUIET_SECONDS";
const SOON: Duration = Duration::from_secs(30);
/// Without any of the limits that would hide a wrong verdict.
const AT_ONCE: [&str; 14] = [
    "--interval",
    "1s",
    "--reset",
    "auto",
    "--reset-after",
    "0s",
    "--reset-cool-down",
    "0s",
    "--reset-budget",
    "1000/s",
    "--reset-budget-total",
    "1000/s",
    "--reset-causes",
    "black_hole,silent_peer,hung_server,peer_window_closed,flow_control,goaway_ignored,unknown",
];

/// A name, streams that it opens in a minute at least (a client that does nothing proves nothing), and what goes on.
type Scene = (&'static str, u64, fn(&Stage) -> Played);

const SCENES: [Scene; 11] = [
    ("long poll, 60 s", 2, |stage| stage.requests(2, 0, "/wait/60000-60000")),
    ("server-sent events", 0, |stage| stage.requests(3, 0, "/events/15000")),
    ("streams, quiet for minutes", 0, |stage| stage.requests(3, 0, "/events/180000")),
    ("2 s a response, 50 at a time", 1000, |stage| stage.requests(50, 10, "/wait/2000-2000")),
    ("20 to 60 s to the first byte", 4, |stage| stage.requests(4, 100, "/wait/20000-60000")),
    ("1,000 streams at once", 3000, |stage| stage.requests(1000, 5000, "/bytes/100")),
    ("5 % loss", 200, |stage| {
        let cable = Cable::new();
        cable.lose(5);
        stage.watch(&busy_between(&cable.client, &cable.server), || {})
    }),
    ("300 ms round trip", 300, |stage| {
        let far = Far::new(Duration::from_millis(150));
        stage.watch(&busy_between(&far.client, &far.server), || {})
    }),
    ("link flaps for 1 s", 200, flap),
    ("server restarts", 100, restart),
    ("both sides paused", 100, pause),
];

/// What h2watch said.
struct Played {
    opened: u64,
    done: Vec<serde_json::Value>,
    /// For the reader; whether a verdict was wrong is the question of `quiet`.
    refused: usize,
}

struct Stage {
    last: Duration,
}

#[test]
fn auto_resets_nothing_where_nothing_is_wrong() {
    play(Duration::from_secs(20));
}

#[test]
#[ignore = "ten minutes: cargo xtask accept quiet"]
fn auto_resets_nothing_in_ten_minutes() {
    play(Duration::from_secs(std::env::var(SECONDS).map_or(600, |n| n.parse().expect("seconds"))));
}

fn play(last: Duration) {
    let _turn = take_turns();
    let wrong: usize = thread::scope(|scope| {
        let playing: Vec<_> = SCENES.iter().map(|scene| scope.spawn(move || resets(scene, last))).collect();
        playing.into_iter().map(|thread| thread.join().expect("it plays to its end")).sum()
    });
    assert_eq!(wrong, 0, "resets of connections that were healthy");
}

fn resets(&(name, per_minute, scene): &Scene, last: Duration) -> usize {
    let Played { opened, done, refused } = scene(&Stage { last });
    println!("{name}: {} resets, {refused} refusals, {opened} streams in {last:?}", done.len());
    done.iter().for_each(|line| println!("{line}"));
    let least = (per_minute * last.as_secs() / 60).max(1);
    assert!(opened >= least, "{name}: only {opened} streams, not {least}");
    done.len()
}

impl Stage {
    /// Watches `client`, and calls `meanwhile` again and again until the time is up.
    fn watch(&self, client: &[String], mut meanwhile: impl FnMut()) -> Played {
        let watch = Watch::run(&AT_ONCE, client);
        watch.wait_until_ready();
        watch.wait_for_word(SOON, "CONNECTED");
        let end = Instant::now() + self.last;
        while Instant::now() < end {
            meanwhile();
            thread::sleep(Duration::from_millis(100));
        }
        Played::of(watch)
    }

    /// `workers` that request `path` over one connection, with a pause after each answer.
    fn requests(&self, workers: u32, pause_ms: u32, path: &str) -> Played {
        self.watch(&patient(servers::start(), workers, pause_ms, path), || {})
    }
}

impl Played {
    fn of(watch: Watch) -> Self {
        let ended = watch.stop();
        let with = |result: &str| {
            ended.of("reset").into_iter().filter(|line| line["result"] == result).cloned().collect::<Vec<_>>()
        };
        let opened = number(&ended.summary()["totals"], "streams_opened");
        Self { opened, done: with("done"), refused: with("refused").len() }
    }
}

/// Now and then nothing passes for one second.
fn flap(stage: &Stage) -> Played {
    let far = Far::new(Duration::ZERO);
    stage.watch(&busy_between(&far.client, &far.server), || {
        thread::sleep(Duration::from_secs(8));
        far.flap(Duration::from_secs(1));
        thread::sleep(Duration::from_secs(1));
    })
}

/// Each ten seconds the server dies and comes back.
fn restart(stage: &Stage) -> Played {
    let (mut server, address) = programs::server();
    stage.watch(&busy(address), || {
        thread::sleep(Duration::from_secs(8));
        let _ = server.child.kill();
        let _ = server.child.wait();
        thread::sleep(Duration::from_secs(1));
        server = programs::server_on(&address.to_string()).0;
    })
}

/// A laptop whose lid is closed: client and server stop at the same moment and go on at the same moment.
fn pause(stage: &Stage) -> Played {
    let (server, address) = programs::server();
    let cgroup = Cgroup::new("reset-pause");
    let client = Program::start_with(&busy(address), |command| cgroup.start_inside(command));
    let pids = [client.pid(), server.pid()];
    let watch = Watch::start(&[&AT_ONCE[..], &["--pid", &pids[0].to_string()]].concat());
    let end = Instant::now() + stage.last;
    while Instant::now() < end {
        thread::sleep(Duration::from_secs(4));
        pids.iter().for_each(|&pid| signal_process(pid, Signal::STOP));
        thread::sleep(Duration::from_secs(8));
        pids.iter().rev().for_each(|&pid| signal_process(pid, Signal::CONT));
    }
    Played::of(watch)
}
