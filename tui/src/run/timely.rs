//! Being woken on time: real-time priority for the one thread that watches.
//!
//! Where a reset has milliseconds, a thread of ordinary priority comes too late on a machine that has other things to do. The
//! lowest real-time priority is enough; threads and processes that are started by it do not inherit it, and `pace` leaves at
//! least half of a CPU to others.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};

/// A threshold for which it is worth it: a thread of ordinary priority may come some milliseconds late.
pub const SHORT_THRESHOLD: Duration = Duration::from_millis(100);

/// Real-time priority for the calling thread.
///
/// # Errors
/// The kernel refuses: it takes CAP_SYS_NICE or RLIMIT_RTPRIO, and a cgroup that allows it.
pub fn be_timely() -> Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the structure lives until the call returns; 0 is the calling thread.
    let result = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()).context("sched_setscheduler") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> i32 {
        // SAFETY: no memory is involved; 0 is the calling thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    /// On a thread of its own, which takes it along when it ends.
    #[test]
    fn the_thread_is_timely_and_those_it_starts_are_not() {
        let policies = std::thread::spawn(|| {
            if let Err(error) = be_timely() {
                assert!(!rustix::process::geteuid().is_root(), "{error:#}");
                return (libc::SCHED_FIFO, libc::SCHED_OTHER);
            }
            (policy() & !libc::SCHED_RESET_ON_FORK, std::thread::spawn(policy).join().unwrap())
        });
        assert_eq!(policies.join().unwrap(), (libc::SCHED_FIFO, libc::SCHED_OTHER));
    }
}
