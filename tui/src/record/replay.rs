//! When each sample of a recording is due: at its time, faster or slower, or at once.

use super::error::ReadError;
use crate::model::sample::{Nanos, Sample};
use std::time::Duration;

/// How fast time passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many recorded seconds in a second; more than 0.
    Times(f64),
    /// Everything is due now.
    AtOnce,
}

/// A silence of the recorder itself (a laptop that slept) is not sat through.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Samples in order, each with its time. The clock is an argument.
#[derive(Debug)]
pub struct Replay<I> {
    samples: I,
    speed: Speed,
    next: Option<(Duration, Result<Sample, ReadError>)>,
    /// Time of the last sample, recorded and played.
    last: Option<(Nanos, Duration)>,
}

impl<I: Iterator<Item = Result<Sample, ReadError>>> Replay<I> {
    /// Begins at the first sample.
    pub fn new(samples: I, speed: Speed) -> Self {
        let mut replay = Self { samples, speed, next: None, last: None };
        replay.advance();
        replay
    }

    /// When the next sample is due, in time since the beginning; `None` after the last.
    #[must_use]
    pub fn due_at(&self) -> Option<Duration> {
        self.next.as_ref().map(|&(at, _)| at)
    }

    /// The next sample, if it is due.
    pub fn due(&mut self, elapsed: Duration) -> Option<Result<Sample, ReadError>> {
        let (_, sample) = self.next.take_if(|(at, _)| *at <= elapsed)?;
        self.advance();
        Some(sample)
    }

    fn advance(&mut self) {
        self.next = self.samples.next().map(|sample| {
            let (before_ns, before) = self.last.unwrap_or_default();
            // An error is due at once after the last sample.
            let now_ns = sample.as_ref().map_or(before_ns, |sample| sample.now_ns);
            let pause = if self.last.is_some() { now_ns.saturating_sub(before_ns) } else { 0 };
            let at = before + self.played(Duration::from_nanos(pause));
            self.last = Some((now_ns, at));
            (at, sample)
        });
    }

    fn played(&self, recorded: Duration) -> Duration {
        match self.speed {
            Speed::Times(factor) if factor > 0.0 => recorded.min(LONGEST_PAUSE).div_f64(factor),
            Speed::Times(_) | Speed::AtOnce => Duration::ZERO,
        }
    }
}

impl std::str::FromStr for Speed {
    type Err = String;

    /// `max`, or a factor such as `1`, `10` or `0.5`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::AtOnce);
        }
        let factor: Option<f64> = text.strip_suffix('x').unwrap_or(text).parse().ok();
        factor
            .filter(|factor| (0.01..=10_000.0).contains(factor))
            .map(Self::Times)
            .ok_or_else(|| format!("{text:?} is no speed: write a factor from 0.01 to 10000, or max"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::staged::Staged;

    fn samples(times_ms: &[u64]) -> impl Iterator<Item = Result<Sample, ReadError>> {
        times_ms.iter().map(|&ms| Ok(Staged::h2c(1, ms).sample())).collect::<Vec<_>>().into_iter()
    }

    fn schedule(times_ms: &[u64], speed: Speed) -> Vec<u128> {
        let mut replay = Replay::new(samples(times_ms), speed);
        let mut schedule = Vec::new();
        while let Some(at) = replay.due_at() {
            assert!(at.is_zero() || replay.due(at - Duration::from_nanos(1)).is_none());
            replay.due(at).unwrap().unwrap();
            schedule.push(at.as_millis());
        }
        schedule
    }

    #[test]
    fn samples_keep_their_distances() {
        assert_eq!(schedule(&[50_000, 50_250, 51_000], Speed::Times(1.0)), [0, 250, 1000]);
        assert_eq!(schedule(&[50_000, 50_250, 51_000], Speed::Times(10.0)), [0, 25, 100]);
        assert_eq!(schedule(&[50_000, 50_250, 51_000], Speed::AtOnce), [0, 0, 0]);
    }

    #[test]
    fn long_pauses_are_shortened_and_time_never_runs_back() {
        assert_eq!(schedule(&[1000, 61_000, 60_000, 60_500], Speed::Times(1.0)), [0, 5000, 5000, 5500]);
    }

    #[test]
    fn an_error_is_told_after_the_last_sample() {
        let cut = samples(&[1000, 2000]).chain([Err(ReadError::Truncated { samples: 2 })]);
        let mut replay = Replay::new(cut, Speed::Times(1.0));
        let second = Duration::from_secs(1);
        assert!(replay.due(second).unwrap().is_ok());
        assert!(replay.due(second).unwrap().is_ok());
        assert!(replay.due(second).unwrap().is_err());
        assert!(replay.due(second).is_none());
    }

    #[test]
    fn speeds_are_read() {
        assert_eq!("max".parse(), Ok(Speed::AtOnce));
        assert_eq!("2.5x".parse(), Ok(Speed::Times(2.5)));
        for bad in ["0", "-1", "fast", "nan", "inf", "1e9"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }
}
