//! Verdicts on staged connections: faults get their cause, healthy clients get no alarm, and nothing flaps.

mod calm;
mod faults;
mod property;

use crate::model::Model;
use crate::model::sample::Nanos;
use crate::model::snapshot::{Change, Connection};
use crate::model::staged::{MS, Staged};
use crate::verdict::{Cause, Policy, StallAfter};
use std::time::Duration;

/// The interval of samples.
const TICK_MS: u64 = 250;

/// A model that watches one connection.
struct Scene {
    model: Model,
    c: Staged,
    /// What was told, with the time.
    told: Vec<(u64, Change)>,
    last: Option<Connection>,
}

impl Scene {
    fn new(stall_after: StallAfter, c: Staged) -> Self {
        let model = Model::new(Policy { stall_after, ..Policy::default() });
        Self { model, c, told: Vec::new(), last: None }
    }

    /// With `--stall-after 3s`.
    fn fixed() -> Self {
        Self::new(StallAfter::Fixed(Duration::from_secs(3)), Staged::h2c(7, 1_000))
    }

    fn auto() -> Self {
        Self::new(StallAfter::Auto, Staged::h2c(7, 1_000))
    }

    /// Samples now.
    fn look(&mut self) -> &mut Self {
        let (snapshot, changes) = self.model.observe(&self.c.sample());
        self.told.extend(changes.into_iter().map(|change| (self.c.now_ms, change)));
        self.last = snapshot.connections.into_iter().next();
        if let Some(last) = &self.last {
            assert_eq!(last.verdict.cause.is_some(), last.stalled_since_ns.is_some());
        }
        self
    }

    /// Runs for `ms`; before each sample `act` is asked what happens, with the milliseconds since the start.
    fn run(&mut self, ms: u64, mut act: impl FnMut(&mut Staged, u64)) -> &mut Self {
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
    fn busy(&mut self, ms: u64) -> &mut Self {
        self.run(ms, |c, _| {
            c.open(4).answer(4);
            c.reading.streams.unanswered = 0;
        })
    }

    fn last(&self) -> &Connection {
        self.last.as_ref().unwrap()
    }

    fn cause(&self) -> Option<Cause> {
        self.last().verdict.cause
    }

    fn evidence(&self) -> &str {
        &self.last().verdict.evidence
    }

    /// When it was first called stalled.
    fn stalled_at(&self) -> Option<u64> {
        self.told.iter().find(|(_, change)| matches!(change, Change::Stalled(_))).map(|&(at, _)| at)
    }

    /// Causes in the order in which they were told.
    fn causes(&self) -> Vec<Cause> {
        let told = self.told.iter().filter_map(|(_, change)| match change {
            Change::Stalled(c) | Change::Sharpened(c) => c.verdict.cause,
            _ => None,
        });
        told.collect()
    }

    #[track_caller]
    fn calm(&self) {
        let stalls = self.told.iter().filter_map(|(at, change)| match change {
            Change::Stalled(c) => Some((*at, c.verdict.evidence.clone())),
            _ => None,
        });
        let stalls: Vec<_> = stalls.collect();
        assert!(stalls.is_empty(), "{stalls:#?}");
    }
}

fn ns(ms: u64) -> Nanos {
    ms * MS
}
