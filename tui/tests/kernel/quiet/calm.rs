//! What is slow, lossy, far away or paused, and healthy all the same: with h2watch's default settings nothing is flagged.

use super::report;
use crate::support::cgroup::Cgroup;
use crate::support::far::Far;
use crate::support::netns::Cable;
use crate::support::programs;
use crate::support::traffic::{busy, busy_between, patient};
use crate::support::watch::{Ended, Watch, signal_process};
use crate::support::{compare::number, servers, take_turns};
use rustix::process::Signal;
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds for each of them, in `cargo xtask accept quiet`.
const SECONDS: &str = "H2WATCH_QUIET_SECONDS";
/// While one is being looked into: only those with this in their names.
const ONLY: &str = "H2WATCH_QUIET";
const SOON: Duration = Duration::from_secs(30);

/// A healthy pair, and what goes on around it until the time is up.
struct Calm {
    name: &'static str,
    /// Streams that it opens in a minute, at least: a client that does nothing proves nothing. Three times as many on a machine
    /// that has nothing else to do. 0: they never end.
    streams_per_minute: u64,
    play: fn(&Stage) -> Played,
}

/// What came of it.
pub(super) struct Played {
    pub(super) name: &'static str,
    pub(super) streams: u64,
    /// Evidence of each stall that was reported.
    pub(super) stalls: Vec<String>,
    /// Round trip of the connection as TCP measured it, where a look was taken.
    rtt_us: Vec<u64>,
}

/// For how long.
struct Stage {
    last: Duration,
}

const CALM: [Calm; 11] = [
    Calm {
        name: "long poll, 60 s",
        streams_per_minute: 2,
        play: |stage| requests(stage, 2, 0, "/wait/60000-60000"),
    },
    Calm {
        name: "server-sent events",
        streams_per_minute: 0,
        play: |stage| requests(stage, 3, 0, "/events/15000"),
    },
    Calm {
        name: "streams, quiet for minutes",
        streams_per_minute: 0,
        play: |stage| requests(stage, 3, 0, "/events/180000"),
    },
    Calm {
        name: "2 s a response, 50 at a time",
        streams_per_minute: 500,
        play: |stage| requests(stage, 50, 10, "/wait/2000-2000"),
    },
    Calm {
        name: "20 to 60 s to the first byte, 4 at a time",
        streams_per_minute: 4,
        play: |stage| requests(stage, 4, 100, "/wait/20000-60000"),
    },
    Calm {
        name: "1,000 streams at once",
        streams_per_minute: 3000,
        play: |stage| requests(stage, 1000, 5000, "/bytes/100"),
    },
    Calm { name: "5 % loss", streams_per_minute: 200, play: loss },
    Calm { name: "300 ms round trip", streams_per_minute: 200, play: far_away },
    Calm { name: "link flaps for 1 s", streams_per_minute: 200, play: flap },
    Calm { name: "server restarts", streams_per_minute: 100, play: restart },
    Calm { name: "both sides paused", streams_per_minute: 100, play: pause },
];

#[test]
fn nothing_is_flagged_where_nothing_is_wrong() {
    play_all(Duration::from_secs(25));
}

#[test]
#[ignore = "ten minutes: cargo xtask accept quiet"]
fn nothing_is_flagged_in_ten_minutes() {
    let set = std::env::var(SECONDS).ok();
    let seconds = set.as_ref().map_or(600, |n| n.parse().expect("a number of seconds"));
    let played = play_all(Duration::from_secs(seconds));
    if played.len() == CALM.len() {
        report::write(&played, seconds, set.is_some().then_some(SECONDS));
    }
}

/// All at the same time.
fn play_all(last: Duration) -> Vec<Played> {
    let _turn = take_turns();
    let only = std::env::var(ONLY).unwrap_or_default();
    let chosen: Vec<&Calm> = CALM.iter().filter(|calm| calm.name.contains(&only)).collect();
    let played: Vec<Played> = thread::scope(|scope| {
        let playing: Vec<_> = chosen.iter().map(|&calm| scope.spawn(move || calm.play(last))).collect();
        playing.into_iter().map(|thread| thread.join().expect("it plays to its end")).collect()
    });
    let flagged: Vec<_> = played.iter().filter(|played| !played.stalls.is_empty()).collect();
    let flagged: Vec<_> = flagged.iter().map(|played| (played.name, &played.stalls)).collect();
    assert!(flagged.is_empty(), "flagged, and nothing was wrong: {flagged:#?}");
    played
}

impl Calm {
    fn play(&self, last: Duration) -> Played {
        let Self { name, streams_per_minute, .. } = *self;
        let played = Played { name, ..(self.play)(&Stage { last }) };
        println!("{name}: {} stalls, {} streams in {last:?}", played.stalls.len(), played.streams);
        played.stalls.iter().for_each(|evidence| println!("{name}: {evidence}"));
        let least = (streams_per_minute * last.as_secs() / 60).max(1);
        assert!(played.streams >= least, "{name}: only {} streams were opened", played.streams);
        played
    }
}

impl Played {
    fn of(ended: &Ended) -> Self {
        let opened = ended.of("snapshot").into_iter().filter_map(|line| line["connections"].as_array());
        let round_trips = opened.flatten().filter_map(|connection| connection["tcp"]["rtt_us"].as_u64());
        Self {
            name: "",
            streams: number(&ended.summary()["totals"], "streams_opened"),
            stalls: ended.of("stall").iter().map(|stall| said(stall)).collect(),
            rtt_us: round_trips.collect(),
        }
    }
}

/// All of them end at the same moment, and each of them has to wait for the kernel.
fn end(watch: Watch) -> Played {
    watch.signal(Signal::TERM);
    Played::of(&watch.end(Duration::from_secs(60)))
}

fn said(stall: &Value) -> String {
    let connection = &stall["connection"];
    format!("{} {}: {} {}", stall["time"], connection["cause"], connection["evidence"], connection["tcp"])
}

impl Stage {
    /// Watches `client`, and calls `meanwhile` again and again until the time is up.
    fn watch(&self, client: &[String], mut meanwhile: impl FnMut()) -> Played {
        let watch = Watch::run(&["--interval", "1s"], client);
        watch.wait_until_ready();
        watch.wait_for_word(SOON, "CONNECTED");
        self.last(|| {
            meanwhile();
            thread::sleep(Duration::from_millis(100));
        });
        end(watch)
    }

    fn last(&self, mut meanwhile: impl FnMut()) {
        let end = Instant::now() + self.last;
        while Instant::now() < end {
            meanwhile();
        }
    }
}

fn requests(stage: &Stage, workers: u32, pause_ms: u32, path: &str) -> Played {
    stage.watch(&patient(servers::start(), workers, pause_ms, path), || {})
}

fn far_away(stage: &Stage) -> Played {
    let far = Far::new(Duration::from_millis(150));
    let played = stage.watch(&busy_between(&far.client, &far.server), || {});
    let seen = played.rtt_us.iter().filter(|&&us| us >= 300_000).count();
    assert!(seen * 2 > played.rtt_us.len(), "a round trip of 300 ms: {:?}", played.rtt_us);
    played
}

fn loss(stage: &Stage) -> Played {
    let cable = Cable::new();
    cable.lose(5);
    stage.watch(&busy_between(&cable.client, &cable.server), || {})
}

/// Each ten seconds nothing passes for one second.
fn flap(stage: &Stage) -> Played {
    let far = Far::new(Duration::ZERO);
    stage.watch(&busy_between(&far.client, &far.server), || {
        thread::sleep(Duration::from_secs(9));
        far.flap(Duration::from_secs(1));
        thread::sleep(Duration::from_secs(1));
    })
}

/// Each ten seconds the server dies and comes back.
fn restart(stage: &Stage) -> Played {
    let (mut server, address) = programs::server();
    stage.watch(&busy(address), || {
        thread::sleep(Duration::from_secs(9));
        let _ = server.child.kill();
        let _ = server.child.wait();
        thread::sleep(Duration::from_secs(1));
        server = programs::server_on(&address.to_string()).0;
    })
}

/// A laptop whose lid is closed for eight seconds: client and server stop at the same moment and go on at the same moment.
fn pause(stage: &Stage) -> Played {
    let (server, address) = programs::server();
    let cgroup = Cgroup::new("pause");
    let client = programs::Program::start_with(&busy(address), |command| cgroup.start_inside(command));
    let pids = [client.pid(), server.pid()];
    let watch = Watch::start(&["--interval", "1s", "--pid", &pids[0].to_string()]);
    stage.last(|| {
        thread::sleep(Duration::from_secs(8));
        pids.iter().for_each(|&pid| signal_process(pid, Signal::STOP));
        thread::sleep(Duration::from_secs(8));
        pids.iter().rev().for_each(|&pid| signal_process(pid, Signal::CONT));
    });
    end(watch)
}
