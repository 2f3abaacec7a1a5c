//! What every topic needs: h2watch as a child process, servers, links, namespaces, cgroups, and an oracle.

pub(crate) mod bpf;
pub(crate) mod cgroup;
pub(crate) mod compare;
pub(crate) mod exporter;
pub(crate) mod far;
pub(crate) mod frames;
pub(crate) mod leftovers;
pub(crate) mod link;
pub(crate) mod netns;
pub(crate) mod oracle;
pub(crate) mod programs;
pub(crate) mod pulse;
pub(crate) mod scenes;
mod selftest;
pub(crate) mod servers;
pub(crate) mod tools;
pub(crate) mod traffic;
pub(crate) mod two_queues;
pub(crate) mod watch;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Tests that need the machine's time for themselves (throughput, latency) take turns.
pub(crate) fn take_turns() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing half done that the next one could trip over.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `ready` gives a value; panics with `what` after `limit`.
pub(crate) fn wait_until<T>(limit: Duration, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// CLOCK_MONOTONIC: the clock of the kernel programs, the same in every process.
pub(crate) fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
