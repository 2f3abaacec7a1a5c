//! Which values a label may have: the first `max`, until one has not been used for a while or a stalled newcomer needs its
//! place. Everything else is counted under `~other`, so that the number of series has a bound whatever the traffic does.

use crate::model::sample::Nanos;
use std::collections::HashMap;
use std::hash::Hash;

/// What stands for every value that has no place of its own.
pub(super) const OTHER: &str = "~other";

/// A value without connections keeps its place (and its counters) this long, so that a short restart does not break a graph.
pub(super) const KEEP_IDLE_NS: Nanos = 600_000_000_000;

/// And is given to a newcomer after this.
pub(super) const GIVEN_IDLE_NS: Nanos = KEEP_IDLE_NS / 10;

/// The values that have a place.
#[derive(Debug)]
pub(super) struct Limit<T> {
    max: usize,
    places: HashMap<T, Place>,
    /// Connections that found no place.
    pub(super) overflow: u64,
    /// Nobody can make room any more in this snapshot: for a newcomer, and for a stalled one.
    full: [bool; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    used_ns: Nanos,
    now: Use,
}

/// Open connections, and the stalled ones among them, counted anew at each snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    pub(super) open: u64,
    pub(super) stalled: u64,
}

/// Answer of [`Limit::admit`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<T> {
    Placed,
    /// It took the place of this value, whose series end.
    Replaced(T),
    Full,
}

impl<T: Hash + Eq + Clone + Ord> Limit<T> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, places: HashMap::new(), overflow: 0, full: [false; 2] }
    }

    pub(super) fn contains(&self, value: &T) -> bool {
        self.places.contains_key(value)
    }

    /// Its series have ended.
    pub(super) fn remove(&mut self, value: &T) {
        self.places.remove(value);
    }

    /// Starts the count of a new snapshot.
    pub(super) fn begin(&mut self) {
        self.full = [false; 2];
        for place in self.places.values_mut() {
            place.now = Use::default();
        }
    }

    /// Counts connections of a value, if it has a place and there are any.
    pub(super) fn count(&mut self, value: &T, add: Use, now_ns: Nanos) {
        if let Some(place) = self.places.get_mut(value).filter(|_| add.open > 0) {
            place.used_ns = now_ns;
            place.now.open += add.open;
            place.now.stalled += add.stalled;
        }
    }

    /// Gives `value` a place if there is one. `urgent`: it is stalled, so it may take a busy value's place.
    pub(super) fn admit(&mut self, value: &T, urgent: bool, now_ns: Nanos) -> Admission<T> {
        // A connection that had no place until now, so it was not counted yet.
        let newcomer = Use { open: 1, stalled: u64::from(urgent) };
        if self.contains(value) {
            self.count(value, newcomer, now_ns);
            return Admission::Placed;
        }
        let mut replaced = None;
        if self.places.len() >= self.max {
            // With thousands of newcomers at once, the search must not be repeated for each.
            if self.full[usize::from(urgent)] {
                return Admission::Full;
            }
            let Some(victim) = self.victim(urgent, now_ns) else {
                self.full[usize::from(urgent)] = true;
                return Admission::Full;
            };
            self.places.remove(&victim);
            replaced = Some(victim);
        }
        self.places.insert(value.clone(), Place { used_ns: now_ns, now: newcomer });
        replaced.map_or(Admission::Placed, Admission::Replaced)
    }

    /// The value that is missed least: idle longest, or (for a stalled newcomer) the one with the fewest connections.
    fn victim(&self, urgent: bool, now_ns: Nanos) -> Option<T> {
        self.places
            .iter()
            .filter(|(_, place)| place.now.stalled == 0 && (place.now.open == 0 || urgent))
            // Used in this very snapshot: its connections may not have been counted yet.
            .filter(|(_, place)| urgent || place.used_ns + GIVEN_IDLE_NS < now_ns)
            .min_by(|(a, x), (b, y)| (x.now.open, x.used_ns, *a).cmp(&(y.now.open, y.used_ns, *b)))
            .map(|(value, _)| value.clone())
    }

    /// Takes away the places that were not used for long.
    pub(super) fn expire(&mut self, now_ns: Nanos) -> Vec<T> {
        let idle: Vec<T> = self
            .places
            .iter()
            .filter(|(_, place)| place.now.open == 0 && place.used_ns + KEEP_IDLE_NS < now_ns)
            .map(|(value, _)| value.clone())
            .collect();
        for value in &idle {
            self.places.remove(value);
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Use = Use { open: 1, stalled: 0 };
    const STALLED: Use = Use { open: 1, stalled: 1 };

    fn full() -> Limit<&'static str> {
        let mut limit = Limit::new(2);
        assert_eq!(limit.admit(&"a", false, 1), Admission::Placed);
        assert_eq!(limit.admit(&"b", false, 1), Admission::Placed);
        limit
    }

    #[test]
    fn the_first_ones_keep_their_place_while_they_are_used() {
        let mut limit = full();
        limit.begin();
        limit.count(&"a", FINE, KEEP_IDLE_NS);
        limit.count(&"b", FINE, KEEP_IDLE_NS);
        assert_eq!(limit.admit(&"c", false, KEEP_IDLE_NS), Admission::Full);
        assert!(!limit.contains(&"c"));
    }

    #[test]
    fn a_newcomer_takes_an_idle_place() {
        let mut limit = full();
        limit.begin();
        limit.count(&"a", FINE, KEEP_IDLE_NS);
        assert_eq!(limit.admit(&"c", false, KEEP_IDLE_NS), Admission::Replaced("b"));
    }

    #[test]
    fn a_stalled_newcomer_takes_the_least_used_place_but_no_stalled_one() {
        let mut limit = full();
        limit.begin();
        limit.count(&"a", STALLED, 5);
        limit.count(&"b", FINE, 5);
        limit.count(&"b", FINE, 5);
        assert_eq!(limit.admit(&"c", true, 5), Admission::Replaced("b"));
        assert_eq!(limit.admit(&"d", true, 5), Admission::Full, "a and c are stalled themselves");
    }

    #[test]
    fn a_stalled_newcomer_keeps_the_place_that_its_value_had_already() {
        let mut limit = full();
        limit.begin();
        limit.count(&"a", FINE, 5);
        limit.count(&"b", FINE, 5);
        assert_eq!(limit.admit(&"a", true, 5), Admission::Placed);
        assert_eq!(limit.admit(&"c", true, 5), Admission::Replaced("b"));
        assert_eq!(limit.admit(&"d", true, 5), Admission::Full, "a has a stalled connection since now");
    }

    #[test]
    fn idle_places_expire() {
        let mut limit = full();
        limit.begin();
        limit.count(&"a", FINE, KEEP_IDLE_NS + 2);
        assert_eq!(limit.expire(KEEP_IDLE_NS + 2), ["b"]);
        assert!(limit.contains(&"a"));
    }
}
