//! Time that does not count as silence, because this machine did not run what should have answered: it stood still (a stolen
//! virtual CPU), or the peer is on this host and more tasks wanted to run than there are CPUs.
//!
//! Only where a threshold is so short that the scheduler's time slices matter, and only while streams are being opened: then
//! the run sleeps in short steps, and notes how late each of them ended and whether tasks waited then. The kernel's pressure stall
//! information cannot be asked that often: it counts in jiffies, and forgets what is shorter.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::Result;

use super::alarm::Alarm;
use super::clock;
use crate::model::sample::{Nanos, Reading};

/// Longer than a few of the scheduler's time slices (3 ms each): whatever waited for its turn has had one.
pub(super) const SLICES: Duration = Duration::from_millis(20);
/// Steps in the time of the threshold.
const STEPS: u32 = 8;
const SHORTEST_STEP_NS: Nanos = 1_000_000;
/// A timer that ends this late is on time.
const ON_TIME_NS: Nanos = 300_000;
/// Enough for several times the threshold.
const KEPT: usize = 64;

/// Lost time, in total so far.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    at_ns: Nanos,
    late_ns: Nanos,
    waited_ns: Nanos,
}

/// Sleeps, and knows what the time was worth.
#[derive(Debug)]
pub(super) struct Beat {
    step_ns: Option<Nanos>,
    /// `/proc/loadavg`, which says how many tasks are running or want to.
    load: Option<File>,
    cpus: u64,
    steps: VecDeque<Step>,
}

impl Beat {
    /// `threshold`: where there is one that somebody acts on at once.
    pub(super) fn new(threshold: Option<Duration>) -> Self {
        let short = threshold.filter(|threshold| *threshold < SLICES);
        let step = short.and_then(|threshold| Nanos::try_from((threshold / STEPS).as_nanos()).ok());
        Self {
            step_ns: step.map(|ns| ns.max(SHORTEST_STEP_NS)),
            load: step.and_then(|_| File::open("/proc/loadavg").ok()),
            cpus: online_cpus(),
            steps: VecDeque::new(),
        }
    }

    /// Sleeps until then; in steps while the run is `busy`.
    pub(super) async fn sleep(&mut self, alarm: &Alarm, until_ns: Nanos, busy: bool) -> Result<()> {
        let Some(step_ns) = self.step_ns.filter(|_| busy) else { return alarm.at(until_ns).await };
        let mut now_ns = clock::now_ns();
        self.note(Step { at_ns: now_ns, ..self.steps.back().copied().unwrap_or_default() });
        while now_ns < until_ns {
            let next_ns = until_ns.min(now_ns + step_ns);
            alarm.at(next_ns).await?;
            let began_ns = std::mem::replace(&mut now_ns, clock::now_ns());
            let late_ns = Some(now_ns.saturating_sub(next_ns)).filter(|late| *late > ON_TIME_NS).unwrap_or(0);
            let waited_ns = if self.tasks_wait() { now_ns - began_ns } else { 0 };
            let before = self.steps.back().copied().unwrap_or_default();
            self.note(Step {
                at_ns: now_ns,
                late_ns: before.late_ns + late_ns,
                waited_ns: before.waited_ns + waited_ns,
            });
        }
        Ok(())
    }

    fn note(&mut self, step: Step) {
        self.steps.push_back(step);
        if self.steps.len() > KEPT {
            self.steps.pop_front();
        }
    }

    /// Besides this one, more tasks want to run than there are CPUs.
    fn tasks_wait(&self) -> bool {
        let mut text = [0; 128];
        let read = self.load.as_ref().and_then(|file| file.read_at(&mut text, 0).ok());
        read.and_then(|n| runnable(text.get(..n)?)).is_some_and(|tasks| tasks > self.cpus + 1)
    }

    /// How much of the time since the connection's first unanswered stream is lost.
    pub(super) fn lost(&self, reading: &Reading) -> Duration {
        let (Some(first_ns), Some(last)) = (reading.first_unanswered_ns, self.steps.back()) else {
            return Duration::ZERO;
        };
        let before = self.steps.iter().rev().find(|step| step.at_ns <= first_ns);
        let Some(before) = before.or(self.steps.front()) else { return Duration::ZERO };
        let late_ns = last.late_ns - before.late_ns;
        let waited_ns = if is_here(reading) { last.waited_ns.saturating_sub(before.waited_ns) } else { 0 };
        // What waits for a CPU of a machine that stands still waits once.
        Duration::from_nanos(late_ns.max(waited_ns))
    }
}

/// The peer is a process of this host.
fn is_here(reading: &Reading) -> bool {
    reading.remote.ip().is_loopback() || reading.remote.ip() == reading.local.ip()
}

/// From `2.06 1.41 1.27 3/310 11206`: tasks that are running or waiting for a CPU.
fn runnable(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.split(' ').nth(3)?.split_once('/')?.0.parse().ok()
}

fn online_cpus() -> u64 {
    // SAFETY: no memory is involved.
    let n = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u64::try_from(n).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn the_kernels_count_of_tasks_is_read() {
        assert_eq!(runnable(b"2.06 1.41 1.27 3/310 11206\n"), Some(3));
        assert_eq!(runnable(b"2.06 1.41"), None);
        assert!(runnable(&std::fs::read("/proc/loadavg").unwrap()).is_some_and(|tasks| tasks > 0));
    }

    #[test]
    fn time_is_lost_from_the_first_stream_on_and_waiting_only_with_a_peer_on_this_host() {
        let step = |ms, late, waited| Step { at_ns: ms * MS, late_ns: late * MS, waited_ns: waited * MS };
        let mut beat = Beat::new(None);
        beat.steps = [step(10, 1, 1), step(11, 1, 2), step(12, 3, 6), step(13, 3, 7)].into();
        let lost = |remote: &str, first_ns| {
            let mut reading = crate::reset::tests::stalled(1, 7, crate::verdict::Cause::Unknown).reading;
            (reading.remote, reading.first_unanswered_ns) = (remote.parse().unwrap(), first_ns);
            beat.lost(&reading).as_millis()
        };
        assert_eq!(lost("127.0.0.1:1", Some(11 * MS + 5)), 5);
        assert_eq!(lost("10.0.0.1:1", Some(11 * MS + 5)), 5, "its own address");
        assert_eq!(lost("192.0.2.1:1", Some(11 * MS + 5)), 2);
        assert_eq!(lost("192.0.2.1:1", Some(12 * MS)), 0);
        assert_eq!(lost("127.0.0.1:1", Some(9 * MS)), 6, "as far as known");
        assert_eq!(lost("127.0.0.1:1", None), 0);
    }

    #[tokio::test]
    async fn it_sleeps_in_steps_while_busy_and_in_one_when_not() {
        let alarm = Alarm::new().unwrap();
        let mut beat = Beat::new(Some(Duration::from_millis(8)));
        beat.sleep(&alarm, clock::now_ns() + 2 * MS, false).await.unwrap();
        assert!(beat.steps.is_empty());
        let until_ns = clock::now_ns() + 5 * MS;
        beat.sleep(&alarm, until_ns, true).await.unwrap();
        assert!(clock::now_ns() >= until_ns && beat.steps.len() >= 2, "{beat:?}");
        let mut long = Beat::new(Some(Duration::from_secs(3)));
        long.sleep(&alarm, clock::now_ns() + 2 * MS, true).await.unwrap();
        assert!(long.steps.is_empty(), "a long threshold needs no steps");
    }
}
