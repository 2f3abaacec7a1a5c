//! Whose TCP facts a sample asks for. Each costs a system call: their number grows with what is suspicious, not with what is
//! watched. Pure.

use std::collections::HashSet;
use std::ops::Range;

use crate::model::sample::{Cookie, Nanos, Reading};
use crate::verdict::Suspects;

/// Questions for one sample.
const MAX_FACTS: usize = 512;
/// A process that does not read its answers looks healthy from the wire: only its receive queue tells. So connections that
/// nothing is suspected of are looked up too, in turn, this many in this time, whatever their number.
const SPOT_CHECKS: usize = 16;
const SPOT_CHECKS_EVERY_NS: Nanos = 250_000_000;

/// Whose facts somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The one that a person looks at, or that is judged again: it comes first.
    pub asked: Option<Cookie>,
    /// `None`: nobody but the one that is asked for.
    pub suspects: Option<&'a Suspects>,
}

/// Whose turn it is where not everybody can be asked.
#[derive(Debug, Default)]
pub(super) struct Turns {
    suspect: usize,
    spot: usize,
    spot_checked_ns: Nanos,
}

impl Turns {
    /// Places of the readings whose facts are asked for, the most wanted first.
    pub(super) fn choose(&mut self, now_ns: Nanos, readings: &[Reading], wanted: &Wanted<'_>) -> Vec<usize> {
        let places = |is: &dyn Fn(&Reading) -> bool| -> Vec<usize> {
            let open = readings.iter().enumerate().filter(|(_, reading)| reading.closed_ns.is_none());
            open.filter(|(_, reading)| is(reading)).map(|(place, _)| place).collect()
        };
        let mut chosen = places(&|reading| wanted.asked == Some(reading.id));
        if let Some(suspects) = wanted.suspects {
            let mut suspicious = places(&|reading| suspects.includes(reading, now_ns));
            let room = MAX_FACTS - chosen.len();
            if suspicious.len() > room {
                let first = self.suspect % suspicious.len();
                suspicious.rotate_left(first);
                self.suspect = first + room;
            }
            chosen.extend(suspicious);
            let spot = self.next_spot(now_ns, readings.len());
            chosen.extend(spot.filter(|&place| readings.get(place).is_some_and(|r| r.closed_ns.is_none())));
        }
        let mut seen = HashSet::new();
        chosen.retain(|&place| seen.insert(place));
        chosen.truncate(MAX_FACTS);
        chosen
    }

    /// Places that are looked up in this sample, whatever is thought of them.
    fn next_spot(&mut self, now_ns: Nanos, watched: usize) -> Range<usize> {
        if now_ns < self.spot_checked_ns.saturating_add(SPOT_CHECKS_EVERY_NS) {
            return 0..0;
        }
        self.spot_checked_ns = now_ns;
        let begin = if self.spot < watched { self.spot } else { 0 };
        self.spot = begin + SPOT_CHECKS;
        begin..self.spot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::model::staged::{MS, Staged, sample};
    use crate::verdict::{Policy, StallAfter};
    use std::time::Duration;

    /// `busy` connections with a stream that was opened just now, and `silent` ones that have waited for a second, last.
    fn crowd(busy: u64, silent: u64) -> (Model, Vec<Reading>) {
        let mut model = Model::new(Policy::default());
        let all: Vec<Staged> = (0..busy + silent)
            .map(|n| {
                let mut staged = Staged::h2c(n + 1, 1_000);
                staged.wait(if n < busy { 999 } else { 0 }).open(3);
                staged
            })
            .collect();
        let sample = sample(2_000, &all.iter().collect::<Vec<_>>());
        model.observe(&sample);
        (model, sample.readings)
    }

    fn ids(chosen: &[usize], readings: &[Reading]) -> Vec<Cookie> {
        chosen.iter().map(|&place| readings[place].id).collect()
    }

    #[test]
    fn questions_grow_with_what_is_suspicious_and_not_with_what_is_busy() {
        let (model, readings) = crowd(3_000, 5);
        let suspects = model.suspects();
        let wanted = Wanted { asked: Some(700), suspects: Some(&suspects) };
        let mut turns = Turns { spot_checked_ns: 2_000 * MS, ..Turns::default() };
        let chosen = turns.choose(2_000 * MS, &readings, &wanted);
        assert_eq!(
            ids(&chosen, &readings),
            [700, 3_001, 3_002, 3_003, 3_004, 3_005],
            "the selected one first"
        );
        let with_spot_checks = turns.choose(2_250 * MS, &readings, &wanted);
        assert_eq!(with_spot_checks.len(), 6 + SPOT_CHECKS);
    }

    #[test]
    fn a_silence_that_became_suspicious_since_the_last_look_is_asked_about_in_this_one() {
        let policy = Policy { stall_after: StallAfter::Fixed(Duration::from_millis(8)), ..Policy::default() };
        let suspects = Model::new(policy).suspects();
        let mut staged = Staged::h2c(1, 1_000);
        staged.open(1);
        let asked = |now_ms: u64, staged: &Staged| {
            let wanted = Wanted { asked: None, suspects: Some(&suspects) };
            let mut turns = Turns { spot_checked_ns: now_ms * MS, ..Turns::default() };
            turns.choose(now_ms * MS, std::slice::from_ref(&staged.reading), &wanted).len()
        };
        assert_eq!(asked(1_003, &staged), 0, "an answer takes a moment");
        assert_eq!(asked(1_008, &staged), 1, "the verdict comes with its evidence");
        staged.close();
        assert_eq!(asked(1_008, &staged), 0);
    }

    #[test]
    fn more_suspects_than_questions_take_turns_and_the_selected_one_never_waits() {
        let (model, readings) = crowd(0, 700);
        let suspects = model.suspects();
        let wanted = Wanted { asked: Some(650), suspects: Some(&suspects) };
        let mut turns = Turns::default();
        let rounds = [2_000, 2_001].map(|ms| ids(&turns.choose(ms * MS, &readings, &wanted), &readings));
        for round in &rounds {
            assert_eq!((round.len(), round[0]), (MAX_FACTS, 650));
        }
        let asked: HashSet<Cookie> = rounds.concat().into_iter().collect();
        assert_eq!(asked.len(), 700, "each within two looks");
    }

    #[test]
    fn a_look_for_one_asks_about_that_one_only() {
        let (_, readings) = crowd(20, 20);
        let wanted = Wanted { asked: Some(33), suspects: None };
        assert_eq!(ids(&Turns::default().choose(9_000 * MS, &readings, &wanted), &readings), [33]);
    }
}
