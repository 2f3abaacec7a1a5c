//! CPU time that the whole machine spent working, from `/proc/stat`: whoever pays for watching, also in softirq, is in it.

use std::time::Duration;

use anyhow::{Context, Result};

pub(super) fn busy() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    // SAFETY: sysconf takes a number and returns one.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let ticks = busy_ticks(&text).context("/proc/stat has no line `cpu`")?;
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second.max(1) as f64))
}

/// user, nice, system, irq and softirq. Not idle and iowait; not steal (another machine's work); guest is inside user.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_whitespace().map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = fields[..] else { return None };
    Some(user + nice + system + irq + softirq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_waiting_and_stolen_time_are_not_work() {
        let stat = "cpu  100 10 50 9000 700 3 7 40 20 0\ncpu0 50 5 25 4500 350 1 3 20 10 0\n";
        assert_eq!(busy_ticks(stat), Some(170));
        assert_eq!(busy_ticks("cpu0 1 2 3\n"), None);
    }

    #[test]
    fn this_machine_has_worked() {
        assert!(busy().unwrap() > Duration::ZERO);
    }
}
