//! Sleeping until an instant of the samples' clock, to the microsecond: the runtime's own timer works in milliseconds.

use std::io;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::model::sample::Nanos;

const NANOS: Nanos = 1_000_000_000;

/// A timer of CLOCK_MONOTONIC.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    pub(super) fn new() -> Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
            .context("making a timer")?;
        // SAFETY: an OwnedFd always gives the same descriptor, and closes it only when dropped.
        let timer =
            unsafe { AsyncFd::register(timer) }.map_err(io::Error::from).context("polling a timer")?;
        Ok(Self { timer })
    }

    /// Returns at `until_ns`, or at once when that is past. A call that is dropped leaves nothing behind.
    pub(super) async fn at(&self, until_ns: Nanos) -> Result<()> {
        // An instant of 0 would disarm the timer.
        let until_ns = until_ns.max(1);
        let at = Timespec {
            tv_sec: i64::try_from(until_ns / NANOS).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(until_ns % NANOS).unwrap_or_default(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)
            .context("setting a timer")?;
        loop {
            let mut ready = self.timer.readable().await.context("waiting for a timer")?;
            let mut expirations = [0; 8];
            match ready.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?)) {
                Ok(read) => return read.map(drop).context("reading a timer"),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::clock::now_ns;

    #[tokio::test]
    async fn it_returns_at_the_time_and_not_before() {
        let alarm = Alarm::new().unwrap();
        let until_ns = now_ns() + 3_000_000;
        alarm.at(until_ns).await.unwrap();
        assert!(now_ns() >= until_ns);
        alarm.at(0).await.unwrap();
    }
}
