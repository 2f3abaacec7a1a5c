//! When to look next: on every tick, exactly when a waiting connection may become stalled, and, where the threshold is
//! shorter than the tick, often enough that no silence begins unseen.
//!
//! A stream that is opened after a look cannot be stalled before the shortest threshold has passed. So it is enough to look
//! once in that time while streams are being opened, and when none are, to let the kernel ring for the next one.
//!
//! Whatever wants a look, no two of them follow each other at once: at least as long as a look took is left to others.

use std::ops::Range;

use super::beat::SLICES;
use crate::model::sample::Nanos;

/// Looks closer together than this are one look.
const SHORTEST_NS: Nanos = 200_000;
const SLICES_NS: Nanos = SLICES.as_nanos() as Nanos;

/// The pace of a run. All times are of the samples' clock.
#[derive(Debug)]
pub(super) struct Pace {
    interval_ns: Nanos,
    next_tick_ns: Nanos,
    streams_opened: u64,
    /// When the last look began, and what was to be done after it.
    rested: Option<(Nanos, Rest)>,
    soonest_ns: Nanos,
}

/// What to do until the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Look again at this time at the latest.
    pub until_ns: Nanos,
    /// Have the kernel ring when a stream is opened.
    pub arm: bool,
}

impl Pace {
    /// The first tick is one interval from now.
    #[must_use]
    pub(super) fn new(interval_ns: Nanos, now_ns: Nanos) -> Self {
        Self {
            interval_ns,
            next_tick_ns: now_ns + interval_ns,
            streams_opened: 0,
            rested: None,
            soonest_ns: now_ns,
        }
    }

    /// True once for each interval, for the first look of it (`looked_ns`: when that began): the outputs are drawn. An older look
    /// is no answer to what is true now.
    pub(super) fn tick(&mut self, looked_ns: Nanos) -> bool {
        if looked_ns < self.next_tick_ns {
            return false;
        }
        // Ticks that were slept through are not made up for.
        self.next_tick_ns = (self.next_tick_ns + self.interval_ns).max(looked_ns + self.interval_ns / 2);
        true
    }

    /// When somebody besides the pace can have the look that is wanted at `at_ns`.
    pub(super) fn not_before(&self, at_ns: Nanos) -> Nanos {
        at_ns.max(self.soonest_ns)
    }

    /// After a look that counted `streams_opened` in total, or what may have opened some; `looked`: when it began, and when it
    /// and what followed was done. At least as long as that took is left to others. Whoever is woken without a look and asks
    /// again is told the same: a steady stream of events must not put the next look off.
    pub(super) fn rest(
        &mut self,
        looked: Range<Nanos>,
        streams_opened: u64,
        deadline: Option<Nanos>,
        shortest_ns: Nanos,
    ) -> Rest {
        let Range { start: now_ns, end: done_ns } = looked;
        if let Some((_, rest)) = self.rested.filter(|(looked_ns, _)| *looked_ns == now_ns) {
            return rest;
        }
        let stirred = std::mem::replace(&mut self.streams_opened, streams_opened) != streams_opened;
        // With an interval below it too: where time slices matter, the run sleeps in small steps unless the kernel may ring.
        let short = shortest_ns < self.interval_ns.max(SLICES_NS);
        let busy = short && (stirred || deadline.is_some());
        let mut until_ns = self.next_tick_ns;
        if let Some(deadline) = deadline {
            until_ns = until_ns.min(deadline);
        }
        if busy {
            until_ns = until_ns.min(now_ns + shortest_ns);
        }
        let took_ns = done_ns.saturating_sub(now_ns);
        self.soonest_ns = (now_ns + SHORTEST_NS).max(done_ns + took_ns);
        let rest = Rest { until_ns: self.not_before(until_ns), arm: short && !busy };
        self.rested = Some((now_ns, rest));
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn a_long_threshold_needs_no_ring_and_no_extra_looks() {
        let mut pace = Pace::new(250 * MS, 0);
        assert_eq!(pace.rest(0..0, 10, None, 3000 * MS), Rest { until_ns: 250 * MS, arm: false });
        assert_eq!(pace.rest(MS..MS, 20, Some(90 * MS), 3000 * MS), Rest { until_ns: 90 * MS, arm: false });
    }

    #[test]
    fn a_short_threshold_looks_as_often_while_streams_are_opened_and_rings_when_not() {
        let mut pace = Pace::new(250 * MS, 0);
        assert_eq!(pace.rest(0..0, 10, None, 5 * MS), Rest { until_ns: 5 * MS, arm: false });
        assert_eq!(pace.rest(5 * MS..5 * MS, 10, None, 5 * MS), Rest { until_ns: 250 * MS, arm: true });
        assert_eq!(
            pace.rest(9 * MS..9 * MS, 11, Some(11 * MS), 5 * MS),
            Rest { until_ns: 11 * MS, arm: false }
        );
    }

    #[test]
    fn a_past_deadline_does_not_spin() {
        let mut pace = Pace::new(250 * MS, 0);
        assert_eq!(pace.rest(100 * MS..100 * MS, 1, Some(0), 5 * MS).until_ns, 100 * MS + SHORTEST_NS);
    }

    #[test]
    fn a_long_look_is_followed_by_as_long_a_rest() {
        let mut pace = Pace::new(250 * MS, 0);
        assert_eq!(pace.rest(100 * MS..140 * MS, 1, Some(101 * MS), 5 * MS).until_ns, 180 * MS);
    }

    #[test]
    fn events_that_ask_for_no_look_do_not_put_the_next_one_off() {
        let mut pace = Pace::new(250 * MS, 0);
        let rest = pace.rest(100 * MS..101 * MS, 1, None, 3000 * MS);
        assert_eq!(rest, Rest { until_ns: 250 * MS, arm: false });
        for woken_ms in [120, 180, 240, 249] {
            assert_eq!(pace.rest(100 * MS..woken_ms * MS, 1, None, 3000 * MS), rest);
        }
        assert!(pace.tick(300 * MS));
        let busy = pace.rest(300 * MS..300 * MS, 2, None, 5 * MS);
        assert_eq!(busy, Rest { until_ns: 305 * MS, arm: false });
        assert_eq!(pace.rest(300 * MS..301 * MS, 2, None, 5 * MS), busy, "what was stirred still is");
    }

    #[test]
    fn what_others_want_comes_no_sooner_either() {
        let mut pace = Pace::new(250 * MS, 0);
        pace.rest(100 * MS..103 * MS, 1, None, 3000 * MS);
        assert_eq!(pace.not_before(101 * MS), 106 * MS, "an outcome that is followed each millisecond");
        assert_eq!(pace.not_before(120 * MS), 120 * MS);
    }

    #[test]
    fn a_tick_is_of_a_look_that_was_taken_in_it() {
        let mut pace = Pace::new(250 * MS, 0);
        // Woken at 251 ms by a line of the COMMAND: the last look is from 100 ms.
        assert!(!pace.tick(100 * MS));
        assert!(pace.tick(252 * MS), "the fresh look is shown, and not an interval later");
        assert!(!pace.tick(252 * MS), "once");
    }

    #[test]
    fn an_interval_below_a_threshold_of_milliseconds_rings_too_when_nothing_waits() {
        let mut pace = Pace::new(4 * MS, 0);
        assert!(!pace.rest(0..0, 10, None, 8 * MS).arm, "streams are being opened");
        assert_eq!(pace.rest(MS..MS, 10, None, 8 * MS), Rest { until_ns: 4 * MS, arm: true });
        assert!(!pace.rest(2 * MS..2 * MS, 10, Some(9 * MS), 8 * MS).arm, "something waits");
    }

    #[test]
    fn ticks_that_were_missed_are_not_made_up_for() {
        let mut pace = Pace::new(250 * MS, 0);
        assert!(!pace.tick(249 * MS));
        assert!(pace.tick(250 * MS));
        assert!(pace.tick(5000 * MS));
        assert!(!pace.tick(5001 * MS));
    }
}
