//! What is slow, lossy, far away or paused, and healthy all the same: with h2watch's default settings nothing is flagged.

use crate::support::cgroup::Cgroup;
use crate::support::netns::Cable;
use crate::support::programs::{self, role};
use crate::support::watch::{Watch, signal_process};
use crate::support::{compare::number, relay, servers, take_turns};
use rustix::process::Signal;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

/// Seconds for each of them, in `cargo xtask accept quiet`.
const SECONDS: &str = "H2WATCH_QUIET_SECONDS";
const SOON: Duration = Duration::from_secs(30);

/// A healthy pair, and what goes on around it until the time is up.
struct Calm {
    name: &'static str,
    /// Streams that it opens in a minute, at least: a client that does nothing proves nothing. 0: they never end.
    streams_per_minute: u64,
    play: fn(&Stage) -> u64,
}

/// For how long, and how busy at least.
struct Stage {
    last: Duration,
    streams_per_minute: u64,
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
        streams_per_minute: 1000,
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
    Calm { name: "300 ms round trip", streams_per_minute: 300, play: far_away },
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
    let seconds = std::env::var(SECONDS).map_or(600, |n| n.parse().expect("a number of seconds"));
    play_all(Duration::from_secs(seconds));
}

fn play_all(last: Duration) {
    let _turn = take_turns();
    let only = std::env::var("H2WATCH_QUIET").unwrap_or_default();
    let chosen: Vec<&Calm> = CALM.iter().filter(|calm| calm.name.contains(&only)).collect();
    let flagged: Vec<&str> = thread::scope(|scope| {
        let playing: Vec<_> = chosen
            .iter()
            .map(|&calm| {
                scope.spawn(move || {
                    let stalls = (calm.play)(&Stage { last, streams_per_minute: calm.streams_per_minute });
                    println!("{}: {stalls} stalls in {last:?}", calm.name);
                    (stalls > 0).then_some(calm.name)
                })
            })
            .collect();
        playing.into_iter().filter_map(|thread| thread.join().expect("it plays to its end")).collect()
    });
    assert!(flagged.is_empty(), "flagged, and nothing was wrong: {flagged:?}");
}

impl Stage {
    /// Watches `client`, and calls `meanwhile` again and again until the time is up. How many stalls were reported.
    fn watch(&self, client: &[String], mut meanwhile: impl FnMut()) -> u64 {
        let watch = Watch::run(&["--interval", "1s"], client);
        watch.wait_until_ready();
        watch.wait_for_word(SOON, "CONNECTED");
        let end = Instant::now() + self.last;
        while Instant::now() < end {
            meanwhile();
            thread::sleep(Duration::from_millis(100));
        }
        let ended = watch.stop();
        let opened = number(&ended.summary()["totals"], "streams_opened");
        let least = self.streams_per_minute * self.last.as_secs() / 60;
        assert!(opened >= least.max(1), "only {opened} streams were opened: {}", ended.errors);
        for stall in ended.of("stall") {
            println!("{stall}");
        }
        ended.of("stall").len() as u64
    }
}

/// `workers` that request `path` over one connection, with a pause after each answer.
fn patient(address: SocketAddr, workers: u32, pause_ms: u32, path: &str) -> Vec<String> {
    role("patient", &[address.to_string(), workers.to_string(), pause_ms.to_string(), path.to_owned()])
}

fn requests(stage: &Stage, workers: u32, pause_ms: u32, path: &str) -> u64 {
    stage.watch(&patient(servers::start(), workers, pause_ms, path), || {})
}

/// Four workers with ten requests a second each.
fn busy(address: SocketAddr) -> Vec<String> {
    patient(address, 4, 100, "/bytes/1000")
}

fn far_away(stage: &Stage) -> u64 {
    let relay = relay::start(servers::start(), Duration::from_millis(150));
    stage.watch(&busy(relay), || {})
}

/// A server at the other end of a link.
fn linked() -> (Cable, Vec<String>) {
    let cable = Cable::new();
    let address = cable.server.v4;
    let listener = cable.server.inside(move || TcpListener::bind((address, 0)).expect("a free port"));
    let client = [cable.client.enter(), busy(servers::start_on(listener))].concat();
    (cable, client)
}

fn loss(stage: &Stage) -> u64 {
    let (cable, client) = linked();
    cable.lose(5);
    stage.watch(&client, || {})
}

const FLAPPED: &str = "table inet flap {
  chain arriving { type filter hook input priority 0; drop; }
  chain leaving { type filter hook output priority 0; drop; }
}";

/// Three expiries of the smallest RTO take 1.4 s: a link that comes back later is a black hole until then.
const FLAP_AT_MOST: Duration = Duration::from_millis(1_300);

/// Each ten seconds nothing passes for one second.
fn flap(stage: &Stage) -> u64 {
    let (cable, client) = linked();
    let mut longer = 0;
    let stalls = stage.watch(&client, || {
        thread::sleep(Duration::from_secs(9));
        let began = Instant::now();
        cable.server.nft(FLAPPED);
        thread::sleep(Duration::from_secs(1));
        cable.server.nft("delete table inet flap");
        longer += u64::from(began.elapsed() > FLAP_AT_MOST);
    });
    println!("{longer} flaps were longer than {FLAP_AT_MOST:?}, by the machine's load: they may be flagged");
    stalls.saturating_sub(longer)
}

/// Each ten seconds the server dies and comes back.
fn restart(stage: &Stage) -> u64 {
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
fn pause(stage: &Stage) -> u64 {
    let (server, address) = programs::server();
    let cgroup = Cgroup::new("pause");
    let client = programs::Program::start_with(&busy(address), |command| cgroup.start_inside(command));
    let pids = [client.pid(), server.pid()];
    let watch = Watch::start(&["--interval", "1s", "--pid", &pids[0].to_string()]);
    let end = Instant::now() + stage.last;
    while Instant::now() < end {
        thread::sleep(Duration::from_secs(8));
        pids.iter().for_each(|&pid| signal_process(pid, Signal::STOP));
        thread::sleep(Duration::from_secs(8));
        pids.iter().rev().for_each(|&pid| signal_process(pid, Signal::CONT));
    }
    let ended = watch.stop();
    let opened = number(&ended.summary()["totals"], "streams_opened");
    assert!(
        opened >= stage.streams_per_minute * stage.last.as_secs() / 60,
        "only {opened} streams were opened"
    );
    ended.of("stall").iter().for_each(|stall| println!("{stall}"));
    ended.of("stall").len() as u64
}
