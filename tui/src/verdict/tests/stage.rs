//! A stage for verdicts: a model that watches one staged connection, and the faults that tests and the documentation play.

use crate::model::Model;
use crate::model::sample::{Goaway, Nanos, TcpFacts};
use crate::model::snapshot::{Change, Connection};
use crate::model::staged::{MS, Staged, quiet_tcp};
use crate::verdict::{Cause, Policy, StallAfter};
use std::time::Duration;

/// The interval of samples.
const TICK_MS: u64 = 250;

/// A model that watches one connection.
pub(in crate::verdict) struct Scene {
    pub(in crate::verdict) model: Model,
    pub(in crate::verdict) c: Staged,
    /// What was told, with the time.
    pub(in crate::verdict) told: Vec<(u64, Change)>,
    last: Option<Connection>,
}

impl Scene {
    pub(in crate::verdict) fn new(stall_after: StallAfter, c: Staged) -> Self {
        let model = Model::new(Policy { stall_after, ..Policy::default() });
        Self { model, c, told: Vec::new(), last: None }
    }

    /// With `--stall-after 3s`.
    pub(in crate::verdict) fn fixed() -> Self {
        Self::new(StallAfter::Fixed(Duration::from_secs(3)), Staged::h2c(7, 1_000))
    }

    pub(in crate::verdict) fn auto() -> Self {
        Self::new(StallAfter::Auto, Staged::h2c(7, 1_000))
    }

    /// Samples now.
    pub(in crate::verdict) fn look(&mut self) -> &mut Self {
        let (snapshot, changes) = self.model.observe(&self.c.sample());
        self.told.extend(changes.into_iter().map(|change| (self.c.now_ms, change)));
        self.last = snapshot.connections.into_iter().next();
        if let Some(last) = &self.last {
            assert_eq!(last.verdict.cause.is_some(), last.stalled_since_ns.is_some());
        }
        self
    }

    /// Runs for `ms`; before each sample `act` is asked what happens, with the milliseconds since the start.
    pub(in crate::verdict) fn run(&mut self, ms: u64, mut act: impl FnMut(&mut Staged, u64)) -> &mut Self {
        let start = self.c.now_ms;
        while self.c.now_ms < start + ms {
            self.c.wait(TICK_MS);
            let passed = self.c.now_ms - start;
            act(&mut self.c, passed);
            self.look();
        }
        self
    }

    /// A busy client of a fast server: 4 streams a sample, answered at once.
    pub(in crate::verdict) fn busy(&mut self, ms: u64) -> &mut Self {
        self.run(ms, |c, _| {
            c.open(4).answer(4);
            c.reading.streams.unanswered = 0;
        })
    }

    pub(in crate::verdict) fn last(&self) -> &Connection {
        self.last.as_ref().unwrap()
    }

    pub(in crate::verdict) fn cause(&self) -> Option<Cause> {
        self.last().verdict.cause
    }

    pub(in crate::verdict) fn evidence(&self) -> &str {
        &self.last().verdict.evidence
    }

    /// When it was first called stalled.
    pub(in crate::verdict) fn stalled_at(&self) -> Option<u64> {
        self.told.iter().find(|(_, change)| matches!(change, Change::Stalled(_))).map(|&(at, _)| at)
    }

    /// Causes in the order in which they were told.
    pub(in crate::verdict) fn causes(&self) -> Vec<Cause> {
        let told = self.told.iter().filter_map(|(_, change)| match change {
            Change::Stalled(c) | Change::Sharpened(c) => c.verdict.cause,
            _ => None,
        });
        told.collect()
    }

    #[track_caller]
    pub(in crate::verdict) fn calm(&self) {
        let stalls = self.told.iter().filter_map(|(at, change)| match change {
            Change::Stalled(c) => Some((*at, c.verdict.evidence.clone())),
            _ => None,
        });
        let stalls: Vec<_> = stalls.collect();
        assert!(stalls.is_empty(), "{stalls:#?}");
    }
}

/// Milliseconds on the kernel's clock.
pub(in crate::verdict) fn ns(ms: u64) -> Nanos {
    ms * MS
}

/// TCP on a dead path `ms` after the data was sent: RTO 204 ms (the least that Linux has with 250 ticks a second), doubled at
/// each expiry.
pub(in crate::verdict) fn dead_path(ms: u64) -> TcpFacts {
    let mut expiry = 204;
    let mut backoff = 0;
    while ms >= expiry {
        backoff += 1;
        expiry += 204 << backoff;
    }
    TcpFacts {
        unacked: 5,
        backoff,
        retransmits: u32::from(backoff),
        rto_us: 204_000 << backoff,
        timer: 1,
        timer_expires_ms: (expiry - ms) as u32,
        last_ack_received_ms: ms as u32,
        last_data_received_ms: ms as u32,
        ..quiet_tcp()
    }
}

/// Streams go on being opened, on a path that is dead from the first moment on.
pub(in crate::verdict) fn cut(scene: &mut Scene, ms: u64) {
    scene.run(ms, |c, passed| {
        c.open(2).tcp(dead_path(passed - 250));
    });
}

pub(in crate::verdict) fn stopped_server(scene: &mut Scene, ms: u64) {
    scene.run(ms, |c, _| {
        c.open(1).tcp(TcpFacts { last_ack_received_ms: 20, ..quiet_tcp() });
        c.reading.received.last_ack_ns = Some(ns(c.now_ms));
    });
}

/// A client that PINGs after each stream that it gives up, and a peer that only answers PINGs.
pub(in crate::verdict) fn hung(scene: &mut Scene, ms: u64) {
    scene.run(ms, |c, passed| {
        c.open(1);
        if passed % 1_000 == 0 {
            c.abandon(4);
            c.reading.sent.pings += 1;
            c.reading.sent.last_ping_ns = Some(ns(c.now_ms));
            c.ping_ack();
        }
    });
}

/// A server that stopped reading.
pub(in crate::verdict) fn shut(scene: &mut Scene, ms: u64) {
    scene.c.open(1);
    scene.c.reading.received.zero_window_ns = Some(ns(scene.c.now_ms));
    scene.run(ms, |c, _| {
        let facts =
            TcpFacts { snd_wnd: 0, send_queue: 120_000, notsent_bytes: 120_000, timer: 4, ..quiet_tcp() };
        c.tcp(facts);
    });
}

/// An upload that gets no WINDOW_UPDATE.
pub(in crate::verdict) fn starve(scene: &mut Scene, ms: u64) {
    scene.c.open(2).heard();
    scene.c.reading.sent.data_bytes = 65_535;
    scene.c.reading.streams.sending = 2;
    scene.run(ms, |c, _| {
        c.tcp(quiet_tcp());
    });
}

/// GOAWAY, and a client that goes on.
pub(in crate::verdict) fn ignore_goaway(scene: &mut Scene) {
    let last_stream = scene.c.reading.streams.highest;
    scene.c.reading.received.goaway = Some(Goaway { at_ns: ns(scene.c.now_ms), last_stream, code: 0 });
    scene.c.heard();
    scene.run(2_500, |c, passed| {
        c.open(1);
        if passed > 500 {
            c.heard();
        }
    });
}

/// Answers that nobody reads.
pub(in crate::verdict) fn leave_unread(scene: &mut Scene, ms: u64) {
    scene.run(ms, |c, passed| {
        c.open(1).answer(1);
        c.reading.received.bytes += 25_000;
        c.tcp(TcpFacts { receive_queue: 100 * passed as u32, ..quiet_tcp() });
    });
}

/// A typical stall of each cause, for the documentation.
pub(in crate::verdict) fn example(cause: Cause) -> Option<Scene> {
    let mut scene = if cause == Cause::Unknown { Scene::fixed() } else { Scene::auto() };
    scene.busy(4_000);
    match cause {
        Cause::BlackHole => cut(&mut scene, 12_000),
        Cause::SilentPeer => stopped_server(&mut scene, 6_000),
        Cause::HungServer => hung(&mut scene, 32_000),
        Cause::PeerWindowClosed => shut(&mut scene, 12_000),
        Cause::FlowControl => starve(&mut scene, 12_000),
        Cause::GoawayIgnored => ignore_goaway(&mut scene),
        Cause::ReaderBlocked => leave_unread(&mut scene, 12_000),
        Cause::Unknown => {
            scene.c.open(3);
            scene.run(4_000, |_, _| {});
        }
    }
    scene.cause().is_some().then_some(scene)
}
