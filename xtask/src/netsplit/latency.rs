//! `--latency`: how long it takes from the threshold to the kernel's answer to SOCK_DESTROY, over many resets: on a machine that
//! has nothing else to do, and with h2load running beside.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Options, Variant, experiment};
use crate::say;

const RESETS: u32 = 120;
/// Requests from one unplug to the next.
const EVERY: u32 = 50;
/// What the issue asks for, in microseconds.
const P50_US: u64 = 1_000;
const P99_US: u64 = 5_000;
/// What runs beside on the idle machine.
const IDLE: &str = "nothing";

struct Measured {
    beside: &'static str,
    us: Vec<u64>,
    /// Beside a load a healthy answer may be late by the threshold: such a reset counts as well. With nothing beside it is wrong.
    not_unplugged: usize,
}

/// The table.
pub(super) fn run(program: &Path, h2watch: &Path, options: &Options) -> Result<String> {
    let mut all = Vec::new();
    for (beside, name) in [(false, IDLE), (true, "h2load")] {
        let options = Options {
            requests: EVERY * (RESETS + 1),
            first: EVERY,
            every: EVERY,
            workers: 1,
            timeout: "100ms".to_owned(),
            stall_after: "50ms".to_owned(),
            budget: 60_000,
            beside,
            ..options.clone()
        };
        let row = experiment::run(program, Some(h2watch), Variant { http1: false, watched: true }, &options)?;
        let measured = Measured { beside: name, us: row.latencies_us(), not_unplugged: row.wrong_resets() };
        say::line(&measured.row());
        all.push(measured);
    }
    let text = format!(
        "| beside | resets | of connections that were not unplugged | p50, us | p90, us | p99, us | longest, us |\n\
         |---|---:|---:|---:|---:|---:|---:|\n{}\n",
        all.iter().map(Measured::row).collect::<Vec<_>>().join("\n")
    );
    for one in &all {
        one.judge()?;
    }
    Ok(text)
}

impl Measured {
    /// The value that this share of all is not above.
    fn quantile(&self, share: f64) -> u64 {
        let place = (self.us.len() as f64 * share).ceil() as usize;
        self.us.get(place.max(1) - 1).copied().unwrap_or(u64::MAX)
    }

    fn row(&self) -> String {
        let [p50, p90, p99, longest] = [0.5, 0.9, 0.99, 1.0].map(|share| self.quantile(share));
        let (beside, n, not) = (self.beside, self.us.len(), self.not_unplugged);
        format!("| {beside} | {n} | {not} | {p50} | {p90} | {p99} | {longest} |")
    }

    fn judge(&self) -> Result<()> {
        let (p50, p99) = (self.quantile(0.5), self.quantile(0.99));
        if self.us.len() < 100 || p50 >= P50_US || p99 >= P99_US {
            bail!(
                "beside {}: {} resets, p50 {p50} us, p99 {p99} us; wanted: 100, under {P50_US}, under {P99_US}",
                self.beside,
                self.us.len()
            );
        }
        if self.beside == IDLE && self.not_unplugged > 0 {
            bail!("{} resets of connections that were not unplugged", self.not_unplugged);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_judged() {
        let measured = |us: Vec<u64>| Measured { beside: IDLE, us, not_unplugged: 0 };
        let good = measured((1..=100).collect());
        assert_eq!(good.row(), "| nothing | 100 | 0 | 50 | 90 | 99 | 100 |");
        assert!(good.judge().is_ok());
        let wrong = |beside| Measured { beside, us: (1..=100).collect(), not_unplugged: 1 };
        assert!(wrong(IDLE).judge().is_err() && wrong("h2load").judge().is_ok());
        assert!(measured((1..100).collect()).judge().is_err(), "too few");
        assert!(measured((951..=1050).collect()).judge().is_err(), "p50");
        let slow = (1..=98).chain([5_000, 5_000]).collect();
        assert!(measured(slow).judge().unwrap_err().to_string().contains("p99 5000 us"));
    }
}
