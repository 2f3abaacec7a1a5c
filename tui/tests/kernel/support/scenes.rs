//! What is slow, lossy, far away, quiet or paused, and healthy all the same: `quiet` plays it for verdicts, `reset_quiet` for
//! resets.

use super::cgroup::Cgroup;
use super::compare::number;
use super::far::Far;
use super::netns::Cable;
use super::programs::{self, Program};
use super::servers;
use super::traffic::{Tls, busy, busy_between, patient};
use super::watch::{Ended, Watch, one_at_a_time, signal_process};
use crate::faults::clients::Front;
use rustix::process::Signal;
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds for each of them, in `cargo xtask accept quiet`.
const SECONDS: &str = "H2WATCH_QUIET_SECONDS";
const SOON: Duration = Duration::from_secs(30);
/// Longer than anything that verdicts wait for. Played once, where there is time for it.
pub(crate) const LONG_PAUSE: Duration = Duration::from_secs(150);

/// A healthy pair, and what goes on around it until the time is up.
#[derive(Debug)]
struct Scene {
    name: &'static str,
    /// Streams that it opens in a minute, at least: a client that does nothing proves nothing. Three times as many on a machine
    /// that has nothing else to do. 0: they never end.
    streams_per_minute: u64,
    /// Only records are seen of it: those that the client sends are counted in the place of streams. Requests that are due at the
    /// same moment go out in one record, so `streams_per_minute` is then how often at least one is due.
    records: bool,
    /// Also where there is no time for all of them.
    always: bool,
    play: Play,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) name: &'static str,
    pub(crate) streams: u64,
    /// Those are TLS records.
    pub(crate) records: bool,
    pub(crate) ended: Ended,
}

/// How h2watch is started, and for how long it watches.
#[derive(Debug)]
struct Stage<'a> {
    options: &'a [&'a str],
    last: Duration,
}

const SCENES: [Scene; 21] = [
    h2c("long poll, 60 s", 2, |stage| stage.requests(2, 0, "/wait/60000-60000")),
    h2c("server-sent events", 0, |stage| stage.requests(3, 0, "/events/15000")),
    h2c("streams, quiet for minutes", 0, |stage| stage.requests(3, 0, "/events/180000")),
    h2c("2 s a response, 50 at a time", 500, |stage| stage.requests(50, 10, "/wait/2000-2000")),
    h2c("20 to 60 s to the first byte, 4 at a time", 4, |stage| stage.requests(4, 100, "/wait/20000-60000")),
    h2c("1,000 streams at once", 3000, |stage| stage.requests(1000, 5000, "/bytes/100")),
    h2c("5 % loss", 200, loss),
    h2c("300 ms round trip", 200, far_away),
    h2c("link flaps for 1 s", 200, flap),
    h2c("server restarts", 100, restart),
    h2c("both sides paused", 100, |stage| pause(stage, None)),
    frames("long poll, 60 s, TLS", 2, |stage| stage.encrypted(Tls::Node, 2, 0, "/wait/60000-60000")),
    frames("server-sent events, TLS", 0, |stage| stage.encrypted(Tls::Node, 3, 0, "/events/15000")),
    frames("streams, quiet for minutes, TLS", 0, |stage| stage.encrypted(Tls::Node, 3, 0, "/events/180000")),
    frames("20 to 60 s to the first byte, 4 at a time, TLS", 4, |stage| {
        stage.encrypted(Tls::Node, 4, 100, "/wait/20000-60000")
    }),
    frames("both sides paused, TLS", 100, |stage| pause(stage, Some(Tls::Node))),
    records("long poll, 60 s, TLS seen as records", 1, |stage| {
        stage.encrypted(Tls::Rustls, 2, 0, "/wait/60000-60000")
    }),
    records("server-sent events, TLS seen as records", 0, |stage| {
        stage.encrypted(Tls::Rustls, 3, 0, "/events/15000")
    }),
    records("streams, quiet for minutes, TLS seen as records", 0, |stage| {
        stage.encrypted(Tls::Rustls, 3, 0, "/events/180000")
    }),
    Scene {
        always: true,
        ..records("20 to 60 s to the first byte, 4 at a time, TLS seen as records", 4, |stage| {
            stage.encrypted(Tls::Rustls, 4, 100, "/wait/20000-60000")
        })
    },
    records("both sides paused, TLS seen as records", 100, |stage| pause(stage, Some(Tls::Rustls))),
];

type Play = fn(&Stage<'_>) -> Ended;

const fn h2c(name: &'static str, streams_per_minute: u64, play: Play) -> Scene {
    Scene { name, streams_per_minute, records: false, always: true, play }
}

const fn frames(name: &'static str, streams_per_minute: u64, play: Play) -> Scene {
    Scene { always: false, ..h2c(name, streams_per_minute, play) }
}

const fn records(name: &'static str, streams_per_minute: u64, play: Play) -> Scene {
    Scene { records: true, ..frames(name, streams_per_minute, play) }
}

/// Those with `only` in their names, all at the same time, each for so long and with an h2watch of its own. `all`: also those for
/// which a short run has no time.
pub(crate) fn play(options: &[&str], last: Duration, all: bool, only: &str) -> Vec<Played> {
    let stage = Stage { options, last };
    let is_chosen = |scene: &&Scene| (all || scene.always) && scene.name.contains(only);
    let chosen: Vec<&Scene> = SCENES.iter().filter(is_chosen).collect();
    thread::scope(|scope| {
        let playing: Vec<_> = chosen.iter().map(|scene| scope.spawn(|| scene.play(&stage))).collect();
        playing.into_iter().map(|thread| thread.join().expect("it plays to its end")).collect()
    })
}

/// How long `cargo xtask accept quiet` plays them, and what was set for it, as it was typed before the command.
pub(crate) fn long_run() -> (Duration, String) {
    let set = std::env::var(SECONDS).ok();
    let seconds = set.as_ref().map_or(600, |n| n.parse().expect("a number of seconds"));
    (Duration::from_secs(seconds), set.map_or_else(String::new, |n| format!("{SECONDS}={n} ")))
}

/// That none was left out.
pub(crate) fn is_all(played: &[Played]) -> bool {
    played.len() == SCENES.len()
}

impl Played {
    /// What it opened, for a table.
    pub(crate) fn opened(&self) -> String {
        let unit = if self.records { " records" } else { "" };
        format!("{}{unit}", self.streams)
    }
}

impl Scene {
    fn play(&self, stage: &Stage<'_>) -> Played {
        let Self { name, streams_per_minute, records, .. } = *self;
        let ended = (self.play)(stage);
        let sent = |connection: &Value| connection["records_sent"]["application"].as_u64().unwrap_or(0);
        let opened = number(&ended.summary()["totals"], "streams_opened");
        assert_eq!(opened == 0, records, "{name}: streams are counted where frames are seen, and only there");
        let streams = if records { ended.connections().values().map(sent).sum() } else { opened };
        let least = (streams_per_minute * stage.last.as_secs() / 60).max(1);
        assert!(streams >= least, "{name}: only {streams} streams were opened, not {least}");
        Played { name, streams, records, ended }
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
        let watch = one_at_a_time(|| {
            let watch = Watch::run(self.options, client);
            watch.wait_until_ready();
            watch
        });
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

    /// The same over TLS.
    fn encrypted(&self, tls: Tls, workers: u32, pause_ms: u32, path: &str) -> Ended {
        let front = Front::tls(servers::start(), Vec::new());
        self.watch(&tls.patient(front.address, workers, pause_ms, path), || {})
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

/// A laptop whose lid is closed for eight seconds, and once for longer: client and server, and the TLS between them, stop at the
/// same moment and go on at the same moment.
fn pause(stage: &Stage<'_>, tls: Option<Tls>) -> Ended {
    let (server, address) = programs::server();
    let front = tls.map(|_| Front::tls(address, Vec::new()));
    let front = front.as_ref().and_then(|front| Some((front.address, front.program.as_ref()?)));
    let words = match (tls, &front) {
        (Some(tls), Some((address, _))) => tls.patient(*address, 4, 100, "/bytes/1000"),
        _ => busy(address),
    };
    let cgroup = Cgroup::new("pause");
    // Before the client connects: of TLS that is seen as records nothing else would be known.
    let folder = cgroup.path().to_string_lossy().into_owned();
    let watch = one_at_a_time(|| Watch::start(&[stage.options, &["--cgroup", &folder]].concat()));
    let mut client = Program::start_with(&words, |command| cgroup.start_inside(command));
    client.hear("CONNECTED");
    let all = [Some(client.pid()), front.map(|(_, program)| program.pid()), Some(server.pid())];
    let pids: Vec<u32> = all.into_iter().flatten().collect();
    let mut long = stage.last > 2 * LONG_PAUSE;
    stage.last(|| {
        thread::sleep(Duration::from_secs(6));
        pids.iter().for_each(|&pid| signal_process(pid, Signal::STOP));
        thread::sleep(if std::mem::take(&mut long) { LONG_PAUSE } else { Duration::from_secs(8) });
        pids.iter().rev().for_each(|&pid| signal_process(pid, Signal::CONT));
    });
    end(watch)
}
