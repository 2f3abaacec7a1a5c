//! A recording for each incident: the seconds before the stall, the stall, and the seconds after it.
//!
//! Memory is bounded by the number of readings kept, disk by the length and number of incidents.

use super::header::Header;
use super::writer::Writer;
use crate::model::sample::{Nanos, Sample};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Kept from before the stall.
    pub before: Duration,
    /// Kept from after its end.
    pub after: Duration,
    /// Readings held in memory; fewer seconds are kept from before where this is not enough. About 1.5 KB each.
    pub readings: usize,
    /// A longer incident is cut off here; the kernel gives a dead connection up after 15 to 17 minutes.
    pub longest: Duration,
    /// Incidents recorded in one run.
    pub incidents: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            before: Duration::from_secs(30),
            after: Duration::from_secs(10),
            readings: 50_000,
            longest: Duration::from_secs(20 * 60),
            incidents: 100,
        }
    }
}

/// Watches samples pass by and records incidents. `open` makes the output of a new one, given the sample it begins at.
#[derive(Debug)]
pub struct Capture<W: Write, F> {
    limits: Limits,
    header: Header,
    open: F,
    ring: VecDeque<Sample>,
    ring_readings: usize,
    running: Option<Incident<W>>,
    incidents: u32,
    /// The incident under way was cut off: nothing is recorded until it is over.
    waiting: bool,
}

#[derive(Debug)]
struct Incident<W: Write> {
    writer: Writer<W>,
    since_ns: Nanos,
    until_ns: Nanos,
}

impl<W: Write, F: FnMut(&Sample) -> io::Result<W>> Capture<W, F> {
    /// Nothing is recorded before the first stall.
    pub fn new(limits: Limits, header: Header, open: F) -> Self {
        Self {
            limits,
            header,
            open,
            ring: VecDeque::new(),
            ring_readings: 0,
            running: None,
            incidents: 0,
            waiting: false,
        }
    }

    /// Takes a sample; `stalled`: some connection is, as of this sample. Returns the output of an incident that ended.
    ///
    /// # Errors
    /// An incident cannot be opened or written. It is given up; the next one is tried again.
    pub fn observe(&mut self, sample: &Sample, stalled: bool) -> io::Result<Option<W>> {
        self.waiting &= stalled;
        if self.running.is_none() {
            self.remember(sample);
            if stalled && !self.waiting && self.incidents < self.limits.incidents {
                self.begin(sample).inspect_err(|_| self.waiting = true)?;
            }
            return Ok(None);
        }
        self.go_on(sample, stalled).inspect_err(|_| {
            self.running = None;
            self.waiting = true;
        })
    }

    /// Ends the incident under way, if there is one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&mut self) -> io::Result<Option<W>> {
        self.running.take().map(|incident| incident.writer.finish()).transpose()
    }

    /// Incidents so far, the one under way included.
    #[must_use]
    pub fn incidents(&self) -> u32 {
        self.incidents
    }

    fn begin(&mut self, sample: &Sample) -> io::Result<()> {
        let mut writer = Writer::new((self.open)(sample)?, &self.header)?;
        for earlier in self.ring.drain(..) {
            writer.sample(&earlier)?;
        }
        self.ring_readings = 0;
        self.incidents += 1;
        let until_ns = sample.now_ns.saturating_add(nanos(self.limits.after));
        self.running = Some(Incident { writer, since_ns: sample.now_ns, until_ns });
        Ok(())
    }

    fn go_on(&mut self, sample: &Sample, stalled: bool) -> io::Result<Option<W>> {
        let Some(incident) = &mut self.running else { return Ok(None) };
        incident.writer.sample(sample)?;
        if stalled {
            incident.until_ns = sample.now_ns.saturating_add(nanos(self.limits.after));
        }
        let too_long = sample.now_ns.saturating_sub(incident.since_ns) >= nanos(self.limits.longest);
        if !too_long && sample.now_ns < incident.until_ns {
            return Ok(None);
        }
        self.waiting = stalled;
        self.finish()
    }

    fn remember(&mut self, sample: &Sample) {
        self.ring_readings += sample.readings.len();
        self.ring.push_back(sample.clone());
        let oldest_ns = sample.now_ns.saturating_sub(nanos(self.limits.before));
        while self.ring.len() > 1
            && (self.ring_readings > self.limits.readings
                || self.ring.front().is_some_and(|s| s.now_ns < oldest_ns))
        {
            self.ring_readings -= self.ring.pop_front().map_or(0, |gone| gone.readings.len());
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Reader, header::tests::header};
    use super::*;
    use crate::model::staged::Staged;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits { before: seconds(3), after: seconds(2), readings: 100, longest: seconds(20), incidents: 2 }
    }

    /// One sample a second; returns the seconds that each recorded incident holds.
    fn record(
        limits: Limits,
        stalled: impl Fn(u64) -> bool,
        seconds: u64,
        connections: u64,
    ) -> Vec<Vec<u64>> {
        let mut capture = Capture::new(limits, header(), |_: &Sample| Ok(Vec::new()));
        let mut files = Vec::new();
        for second in 0..seconds {
            let staged: Vec<Staged> = (0..connections).map(|id| Staged::h2c(id, 0)).collect();
            let sample = crate::model::staged::sample(second * 1000, &staged.iter().collect::<Vec<_>>());
            files.extend(capture.observe(&sample, stalled(second)).unwrap());
            assert!(capture.ring_readings <= limits.readings);
        }
        files.extend(capture.finish().unwrap());
        let seconds = |file: Vec<u8>| {
            let samples = Reader::new(&file[..]).unwrap();
            samples.map(|sample| sample.unwrap().now_ns / 1_000_000_000).collect()
        };
        files.into_iter().map(seconds).collect()
    }

    #[test]
    fn an_incident_holds_what_was_before_and_after() {
        let files = record(limits(), |s| (10..13).contains(&s), 30, 1);
        assert_eq!(files, [(7..=14).collect::<Vec<_>>()]);
    }

    #[test]
    fn stalls_close_to_each_other_are_one_incident() {
        let files = record(limits(), |s| s == 10 || s == 11 || s == 20, 30, 1);
        assert_eq!(files, [(7..=13).collect::<Vec<_>>(), (17..=22).collect()]);
        assert_eq!(record(limits(), |s| s == 10 || s == 11 || s == 12, 30, 1).len(), 1);
    }

    #[test]
    fn a_run_that_ends_in_the_middle_leaves_a_whole_file() {
        assert_eq!(record(limits(), |s| s >= 28, 30, 1), [(25..=29).collect::<Vec<_>>()]);
    }

    #[test]
    fn length_number_and_memory_are_bounded() {
        // Stalled for ever: cut off after 20 s, and not begun anew.
        assert_eq!(record(limits(), |s| s >= 10, 90, 1), [(7..=30).collect::<Vec<_>>()]);
        assert_eq!(record(limits(), |s| s % 10 == 5, 60, 1).len(), 2);
        // 60 connections: one sample fits into 100 readings.
        assert_eq!(record(limits(), |s| s == 10, 30, 60), [(10..=12).collect::<Vec<_>>()]);
    }

    #[test]
    fn an_output_that_fails_is_tried_again_at_the_next_incident() {
        let mut failing = true;
        let mut capture = Capture::new(limits(), header(), |_: &Sample| {
            if std::mem::take(&mut failing) { Err(io::Error::other("disk full")) } else { Ok(Vec::new()) }
        });
        let sample = |second: u64| Staged::h2c(1, second * 1000).sample();
        assert!(capture.observe(&sample(1), true).is_err());
        assert!(capture.observe(&sample(2), true).unwrap().is_none());
        assert_eq!(capture.incidents(), 0);
        capture.observe(&sample(3), false).unwrap();
        capture.observe(&sample(4), true).unwrap();
        assert_eq!(capture.incidents(), 1);
    }
}
