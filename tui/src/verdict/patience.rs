//! `--stall-after auto`: how surprising a silence is, measured by what this destination normally does.
//!
//! The mathematics, with its rate of false alarms, is explained in `docs/verdicts-math.md`.

use super::policy::SECOND_NS;
use crate::model::baseline::Baseline;
use crate::model::sample::Nanos;
use crate::model::silence::Silence;

/// No silence shorter than this is a stall by the clock: a garbage collection, a failover or three lost segments in a row
/// take a second or two on a good day.
pub const FLOOR_NS: Nanos = 3 * SECOND_NS;

/// A silence is suspicious when it is longer than this many times the longest wait that was normal. One record in three to
/// nine exceeds three times the record before it, for tails of index 1 to 2 (latencies are rarely heavier).
const MARGIN: u64 = 3;

/// What is taken for a normal wait while nothing is known; each wait that was seen halves it. Language models answer after 20
/// to 60 s, and are the slowest servers in common use that are not long polls.
const UNKNOWN_NS: Nanos = 20 * SECOND_NS;

/// Suspicion in decades at which a silence is a stall: one in a thousand.
const ENOUGH: f64 = 3.0;

/// What each further moment with new streams adds. Witnesses of one silence are not independent: four workers may all ask
/// for the same slow thing, so four of them must not be enough.
const FURTHER_MOMENT: f64 = 0.25;

/// Longer than any common server keeps a request without one frame: proxies and load balancers end them after 60 s
/// (the default of nginx and of AWS load balancers), long polls end by themselves after 30 to 60 s.
pub const LONGEST_NS: Nanos = 120 * SECOND_NS;

/// Parameters that differ between total silence and streams without an answer.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub floor_ns: Nanos,
    pub longest_ns: Nanos,
}

/// For total silence.
pub const SILENCE: Patience = Patience { floor_ns: FLOOR_NS, longest_ns: LONGEST_NS };

impl Patience {
    /// What is taken for the longest normal wait.
    fn normal_ns(&self, normal: &Baseline) -> Nanos {
        let unknown_ns = UNKNOWN_NS >> normal.waits().min(32);
        normal.longest_ns().max(unknown_ns)
    }

    /// Silence after which its length itself is suspicious.
    #[must_use]
    pub fn suspicious_ns(&self, normal: &Baseline) -> Nanos {
        self.normal_ns(normal).saturating_mul(MARGIN).max(self.floor_ns)
    }

    /// Silence that is a stall however few witnesses there are.
    #[must_use]
    pub fn hopeless_ns(&self, normal: &Baseline) -> Nanos {
        normal.longest_ns().saturating_mul(MARGIN).max(self.longest_ns)
    }

    /// Suspicion in decades: 3 is one chance in a thousand that this is normal.
    #[must_use]
    pub fn suspicion(&self, silence: &Silence, normal: &Baseline, now_ns: Nanos) -> f64 {
        let mut suspicion = f64::from(silence.abandoned_moments());
        if silence.length_ns(now_ns).is_some_and(|length| length >= self.suspicious_ns(normal)) {
            // Of N + 1 exchangeable waits, the chance that the last is the longest is 1 in N + 1.
            suspicion += ((normal.waits() + 1) as f64).log10();
            let old_ns = self.normal_ns(normal).saturating_mul(MARGIN);
            let further = silence.moments().iter().skip(1).filter(|&&at| now_ns.saturating_sub(at) >= old_ns);
            suspicion += FURTHER_MOMENT * further.count() as f64;
        }
        suspicion
    }

    /// Whether the silence is a stall.
    #[must_use]
    pub fn is_over(&self, silence: &Silence, normal: &Baseline, now_ns: Nanos) -> bool {
        let Some(length_ns) = silence.length_ns(now_ns) else { return false };
        length_ns >= self.hopeless_ns(normal)
            || (length_ns >= self.floor_ns && self.suspicion(silence, normal, now_ns) >= ENOUGH)
    }

    /// The next moment at which the answer of `is_over` can change without new streams.
    #[must_use]
    pub fn next_ns(&self, silence: &Silence, normal: &Baseline, now_ns: Nanos) -> Option<Nanos> {
        let start_ns = silence.start_ns()?;
        let old_ns = self.normal_ns(normal).saturating_mul(MARGIN);
        [self.floor_ns, self.suspicious_ns(normal), self.hopeless_ns(normal)]
            .into_iter()
            .map(|wait| start_ns.saturating_add(wait))
            .chain(silence.moments().iter().map(|at| at.saturating_add(old_ns)))
            .filter(|&at| at > now_ns)
            .min()
    }
}
