//! What is slow, lossy, far away, quiet or paused, and healthy all the same: `quiet` plays it for verdicts, `reset_quiet` for
//! resets.

use super::cgroup::Cgroup;
use super::compare::number;
use super::far::Far;
use super::netns::Cable;
use super::programs::{self, Program};
use super::servers;
use super::traffic::{busy, busy_between, patient};
use super::watch::{Ended, Watch, signal_process};
use rustix::process::Signal;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds for each of them, in `cargo xtask accept quiet`.
pub(crate) const SECONDS: &str = "H2WATCH_QUIET_SECONDS";
const SOON: Duration = Duration::from_secs(30);

/// A healthy pair, and what goes on around it until the time is up.
#[derive(Debug)]
struct Scene {
    name: &'static str,
    /// Streams that it opens in a minute, at least: a client that does nothing proves nothing. Three times as many on a machine
    /// that has nothing else to do. 0: they never end.
    streams_per_minute: u64,
    play: fn(&Stage<'_>) -> Ended,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) name: &'static str,
    pub(crate) streams: u64,
    pub(crate) ended: Ended,
}

/// How h2watch is started, and for how long it watches.
#[derive(Debug)]
struct Stage<'a> {
    options: &'a [&'a str],
    last: Duration,
}

const SCENES: [Scene; 11] = [
    Scene {
        name: "long poll, 60 s",
        streams_per_minute: 2,
        play: |stage| stage.requests(2, 0, "/wait/60000-60000"),
    },
    Scene {
        name: "server-sent events",
        streams_per_minute: 0,
        play: |stage| stage.requests(3, 0, "/events/15000"),
    },
    Scene {
        name: "streams, quiet for minutes",
        streams_per_minute: 0,
        play: |stage| stage.requests(3, 0, "/events/180000"),
    },
    Scene {
        name: "2 s a response, 50 at a time",
        streams_per_minute: 500,
        play: |stage| stage.requests(50, 10, "/wait/2000-2000"),
    },
    Scene {
        name: "20 to 60 s to the first byte, 4 at a time",
        streams_per_minute: 4,
        play: |stage| stage.requests(4, 100, "/wait/20000-60000"),
    },
    Scene {
        name: "1,000 streams at once",
        streams_per_minute: 3000,
        play: |stage| stage.requests(1000, 5000, "/bytes/100"),
    },
    Scene { name: "5 % loss", streams_per_minute: 200, play: loss },
    Scene { name: "300 ms round trip", streams_per_minute: 200, play: far_away },
    Scene { name: "link flaps for 1 s", streams_per_minute: 200, play: flap },
    Scene { name: "server restarts", streams_per_minute: 100, play: restart },
    Scene { name: "both sides paused", streams_per_minute: 100, play: pause },
];

/// Those with `only` in their names, all at the same time, each for so long and with an h2watch of its own.
pub(crate) fn play(options: &[&str], last: Duration, only: &str) -> Vec<Played> {
    let stage = Stage { options, last };
    let chosen: Vec<&Scene> = SCENES.iter().filter(|scene| scene.name.contains(only)).collect();
    thread::scope(|scope| {
        let playing: Vec<_> = chosen.iter().map(|scene| scope.spawn(|| scene.play(&stage))).collect();
        playing.into_iter().map(|thread| thread.join().expect("it plays to its end")).collect()
    })
}

/// That none was left out.
pub(crate) fn is_all(played: &[Played]) -> bool {
    played.len() == SCENES.len()
}

impl Scene {
    fn play(&self, stage: &Stage<'_>) -> Played {
        let Self { name, streams_per_minute, .. } = *self;
        let ended = (self.play)(stage);
        let streams = number(&ended.summary()["totals"], "streams_opened");
        let least = (streams_per_minute * stage.last.as_secs() / 60).max(1);
        assert!(streams >= least, "{name}: only {streams} streams were opened, not {least}");
        Played { name, streams, ended }
    }
}

/// All of them end at the same moment, and each of them has to wait for the kernel.
fn end(watch: Watch) -> Ended {
    watch.signal(Signal::TERM);
    watch.end(Duration::from_secs(60))
}

impl Stage<'_> {
    /// Watches `client`, and calls `meanwhile` again and again until the time is up.
    fn watch(&self, client: &[String], mut meanwhile: impl FnMut()) -> Ended {
        let watch = Watch::run(self.options, client);
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

    /// `workers` that request `path` over one connection, with a pause after each answer.
    fn requests(&self, workers: u32, pause_ms: u32, path: &str) -> Ended {
        self.watch(&patient(servers::start(), workers, pause_ms, path), || {})
    }
}

fn loss(stage: &Stage<'_>) -> Ended {
    let cable = Cable::new();
    cable.lose(5);
    stage.watch(&busy_between(&cable.client, &cable.server), || {})
}

/// As TCP measures it, where a look was taken.
fn far_away(stage: &Stage<'_>) -> Ended {
    let far = Far::new(Duration::from_millis(150));
    let ended = stage.watch(&busy_between(&far.client, &far.server), || {});
    let connections = ended.of("snapshot").into_iter().filter_map(|line| line["connections"].as_array());
    let measured = connections.flatten().filter_map(|connection| connection["tcp"]["rtt_us"].as_u64());
    let (far, near): (Vec<u64>, Vec<u64>) = measured.partition(|&us| us >= 300_000);
    assert!(far.len() > near.len(), "a round trip of 300 ms: {far:?} {near:?}");
    ended
}

/// Each nine seconds nothing passes for one second.
fn flap(stage: &Stage<'_>) -> Ended {
    let far = Far::new(Duration::ZERO);
    stage.watch(&busy_between(&far.client, &far.server), || {
        thread::sleep(Duration::from_secs(8));
        far.flap(Duration::from_secs(1));
        thread::sleep(Duration::from_secs(1));
    })
}

/// Each nine seconds the server dies and comes back.
fn restart(stage: &Stage<'_>) -> Ended {
    let (mut server, address) = programs::server();
    stage.watch(&busy(address), || {
        thread::sleep(Duration::from_secs(8));
        let _ = server.child.kill();
        let _ = server.child.wait();
        thread::sleep(Duration::from_secs(1));
        server = programs::server_on(&address.to_string()).0;
    })
}

/// A laptop whose lid is closed for eight seconds: client and server stop at the same moment and go on at the same moment.
fn pause(stage: &Stage<'_>) -> Ended {
    let (server, address) = programs::server();
    let cgroup = Cgroup::new("pause");
    let client = Program::start_with(&busy(address), |command| cgroup.start_inside(command));
    let pids = [client.pid(), server.pid()];
    let watch = Watch::start(&[stage.options, &["--pid", &pids[0].to_string()]].concat());
    stage.last(|| {
        thread::sleep(Duration::from_secs(6));
        pids.iter().for_each(|&pid| signal_process(pid, Signal::STOP));
        thread::sleep(Duration::from_secs(8));
        pids.iter().rev().for_each(|&pid| signal_process(pid, Signal::CONT));
    });
    end(watch)
}
