//! Where the playing of a recording is: time goes on with the clock, and stands still while somebody pauses it.

use std::time::Duration;

use crate::model::sample::Nanos;

/// Times are of CLOCK_MONOTONIC, here and now; the recorded ones are not known to it.
#[derive(Debug)]
pub(super) struct Playhead {
    began_ns: Nanos,
    held_ns: Option<Nanos>,
}

impl Playhead {
    /// At the beginning, and running.
    pub(super) fn new(now_ns: Nanos) -> Self {
        Self { began_ns: now_ns, held_ns: None }
    }

    /// Stops, or goes on where it stopped.
    pub(super) fn hold(&mut self, hold: bool, now_ns: Nanos) {
        match self.held_ns {
            None if hold => self.held_ns = Some(now_ns),
            Some(since_ns) if !hold => {
                self.began_ns += now_ns.saturating_sub(since_ns);
                self.held_ns = None;
            }
            _ => {}
        }
    }

    /// What has been played.
    pub(super) fn elapsed(&self, now_ns: Nanos) -> Duration {
        Duration::from_nanos(self.held_ns.unwrap_or(now_ns).saturating_sub(self.began_ns))
    }

    /// When `at` is reached; `None` while it stands still.
    pub(super) fn reaches_ns(&self, at: Duration) -> Option<Nanos> {
        let at_ns = Nanos::try_from(at.as_nanos()).unwrap_or(Nanos::MAX);
        self.held_ns.is_none().then(|| self.began_ns.saturating_add(at_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_takes_no_time() {
        let mut head = Playhead::new(1000);
        assert_eq!(head.elapsed(1300).as_nanos(), 300);
        assert_eq!(head.reaches_ns(Duration::from_nanos(500)), Some(1500));
        head.hold(true, 1300);
        head.hold(true, 1400);
        assert_eq!((head.elapsed(2000).as_nanos(), head.reaches_ns(Duration::ZERO)), (300, None));
        head.hold(false, 2300);
        head.hold(false, 2400);
        assert_eq!(head.elapsed(2400).as_nanos(), 400);
        assert_eq!(head.reaches_ns(Duration::from_nanos(500)), Some(2500));
    }
}
