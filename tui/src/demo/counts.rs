//! What the pool itself counted: the other side of the comparison with what the probe saw.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Requests of the pool so far. Every opened one ends as exactly one of the other three, once it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams opened.
    pub opened: u64,
    /// Response HEADERS arrived in time.
    pub answered: u64,
    /// No response HEADERS in time: the stream was reset with CANCEL, the connection stayed in the pool.
    pub timed_out: u64,
    /// The connection or the stream failed before that.
    pub failed: u64,
}

/// Counts that tasks add to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) opened: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        // Ends before openings: an end is never reported without its opening.
        let (answered, timed_out, failed) =
            (self.answered.load(Relaxed), self.timed_out.load(Relaxed), self.failed.load(Relaxed));
        Counts { opened: self.opened.load(Relaxed), answered, timed_out, failed }
    }
}

pub(super) fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// The line that the child reports.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opened, answered, timed_out, failed } = self;
        write!(f, "counts {opened} {answered} {timed_out} {failed}")
    }
}

impl FromStr for Counts {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let bad = || format!("not a line of counts: {line:?}");
        let numbers: Vec<u64> = line
            .strip_prefix("counts ")
            .ok_or_else(bad)?
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| bad())?;
        let [opened, answered, timed_out, failed] = numbers[..] else { return Err(bad()) };
        Ok(Self { opened, answered, timed_out, failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back() {
        let counts = Counts { opened: 7, answered: 4, timed_out: 2, failed: 1 };
        assert_eq!(counts.to_string().parse(), Ok(counts));
        for bad in ["", "counts", "counts 1 2 3", "counts 1 2 3 4 5", "counts a b c d", "1 2 3 4"] {
            assert!(bad.parse::<Counts>().is_err(), "{bad:?}");
        }
    }
}
