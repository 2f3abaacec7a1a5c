//! How long a destination normally lets its clients wait: a count and a longest, of about the last hour.
//!
//! Distribution-free on purpose: of N + 1 exchangeable waits the last one is the longest with a chance of 1 in N + 1,
//! whatever their distribution. What follows from that is in `verdict::patience`.

use super::sample::Nanos;

/// Half of the memory: waits are remembered for one to two of these. Half an hour holds a few rounds of most periodic work
/// and forgets a bad hour before the next one is over.
const GENERATION_NS: Nanos = 1_800 * 1_000_000_000;

#[derive(Clone, Copy, Debug, Default)]
struct Generation {
    waits: u64,
    longest_ns: Nanos,
}

/// Waits that ended, newest two generations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Baseline {
    started_ns: Nanos,
    current: Generation,
    previous: Generation,
}

impl Baseline {
    /// Nothing remembered.
    pub const EMPTY: Baseline = Baseline {
        started_ns: 0,
        current: Generation { waits: 0, longest_ns: 0 },
        previous: Generation { waits: 0, longest_ns: 0 },
    };

    /// Notes that a wait ended. `wait_ns` may be an upper bound: a longer normal only makes verdicts more patient.
    pub fn note(&mut self, now_ns: Nanos, wait_ns: Nanos) {
        self.age(now_ns);
        self.current.waits += 1;
        self.current.longest_ns = self.current.longest_ns.max(wait_ns);
    }

    /// Forgets what is older than two generations.
    pub fn age(&mut self, now_ns: Nanos) {
        let age = now_ns.saturating_sub(self.started_ns);
        if age < GENERATION_NS {
            return;
        }
        self.previous = if age < 2 * GENERATION_NS { self.current } else { Generation::default() };
        self.current = Generation::default();
        self.started_ns = now_ns;
    }

    /// Waits remembered: at most one per sample and connection, because waits of one moment tell about one moment.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.current.waits + self.previous.waits
    }

    /// The longest of them.
    #[must_use]
    pub fn longest_ns(&self) -> Nanos {
        self.current.longest_ns.max(self.previous.longest_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_for_one_to_two_generations() {
        let mut b = Baseline::default();
        b.note(1, 60);
        assert_eq!((b.waits(), b.longest_ns()), (1, 60));
        b.note(GENERATION_NS + 1, 5);
        assert_eq!((b.waits(), b.longest_ns()), (2, 60));
        b.note(2 * GENERATION_NS + 2, 7);
        assert_eq!((b.waits(), b.longest_ns()), (2, 7));
        b.age(9 * GENERATION_NS);
        assert_eq!((b.waits(), b.longest_ns()), (0, 0));
    }
}
