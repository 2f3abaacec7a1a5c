//! From measurements to `docs/overhead.md`: medians, ratios within a round, and the table.

use std::fmt;

use super::load::Load;
use super::watcher::Mode;

#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) requests_per_second: f64,
    pub(super) cpu_seconds: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.0} requests/s, {:.2} CPU s", self.requests_per_second, self.cpu_seconds)
    }
}

/// All measurements at one number of streams.
pub(super) struct Series {
    streams: u32,
    requests: u32,
    measured: Vec<(Mode, Measured)>,
    /// Per kernel program: name, runs, nanoseconds per run.
    pub(super) segments: Option<Vec<(String, u64, f64)>>,
}

impl Series {
    pub(super) fn new(load: &Load) -> Self {
        Self { streams: load.streams, requests: load.requests, measured: Vec::new(), segments: None }
    }

    pub(super) fn add(&mut self, mode: Mode, measured: Measured) {
        self.measured.push((mode, measured));
    }

    fn rows(&self) -> String {
        let of = |mode| -> Vec<Measured> {
            self.measured.iter().filter(|(of, _)| *of == mode).map(|(_, measured)| *measured).collect()
        };
        let row = |mode: Mode| {
            let columns = columns(&of(mode), &of(Mode::Unwatched));
            format!("| {} | {} | {columns} |\n", self.streams, mode.name())
        };
        Mode::ALL.into_iter().map(row).collect()
    }

    fn segment_rows(&self) -> String {
        let row = |(name, runs, ns): &(String, u64, f64)| {
            format!("| {} | {name} | {runs} | {ns:.0} |\n", self.streams)
        };
        self.segments.iter().flatten().map(row).collect()
    }
}

pub(super) fn text(series: &[Series], rounds: usize) -> String {
    let rows: String = series.iter().map(Series::rows).collect();
    let segment_rows: String = series.iter().map(Series::segment_rows).collect();
    let loads: Vec<String> =
        series.iter().map(|one| format!("{} requests at {} streams", one.requests, one.streams)).collect();
    format!(
        "## h2c\n\n\
         `cargo xtask bench --rounds {rounds}`: h2load (4 connections, 1 KiB answers, {}) against nghttpd over h2c on loopback; h2load in a cgroup of its own, which \
         is what h2watch watches. `tcpdump` is `tcpdump -i lo -w /dev/null tcp port ...`. Medians of {rounds} rounds; a ratio is the \
         median of the ratios within a round, and that of `unwatched, again` is how far they can be trusted. In each \
         round every mode runs once, in an order that changes from round to round, behind a fifth of the load that is not counted: what a watcher does once \
         (h2watch finds and probes the TLS library of h2load) is not the price of traffic. CPU is the time that the whole machine worked during a measurement \
         (`/proc/stat`: user, nice, system, irq, softirq), so it includes what happens in softirq and in h2watch itself.\n\n\
         | streams at once | watched by | requests/s | ratio | CPU s | ratio |\n|---|---|---|---|---|---|\n{rows}\n\
         ### Per segment\n\n\
         From the kernel's BPF run statistics (`kernel.bpf_stats_enabled`), in a run apart because counting costs time \
         itself. A run is one segment as the kernel hands it over (with GSO/GRO it may be up to 64 KiB).\n\n\
         | streams at once | program | runs | ns per run |\n|---|---|---|---|\n{segment_rows}",
        loads.join(", ")
    )
}

/// The four columns of a way to watch: medians of its rounds, and of what each round makes of the same round unwatched. Between two
/// rounds the machine may have become another.
pub(super) fn columns(watched: &[Measured], unwatched: &[Measured]) -> String {
    let [rate, cpu] = [|one: &Measured| one.requests_per_second, |one: &Measured| one.cpu_seconds];
    let middle = |figure: fn(&Measured) -> f64| median(watched.iter().map(figure).collect());
    let ratio = |figure: fn(&Measured) -> f64| {
        median(watched.iter().zip(unwatched).map(|(one, other)| figure(one) / figure(other)).collect())
    };
    format!("{:.0} | {:.3} | {:.2} | {:.3}", middle(rate), ratio(rate), middle(cpu), ratio(cpu))
}

/// The middle one; of an even number the mean of the two in the middle; NaN of nothing.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_order_and_outliers() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 1000.0, 2.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn ratios_are_against_unwatched() {
        let mut series = Series::new(&Load { port: 1, streams: 16, requests: 10 });
        series.add(Mode::Unwatched, Measured { requests_per_second: 1000.0, cpu_seconds: 2.0 });
        series.add(Mode::H2watch, Measured { requests_per_second: 980.0, cpu_seconds: 2.1 });
        series.add(Mode::Tcpdump, Measured { requests_per_second: 800.0, cpu_seconds: 2.6 });
        // The machine has become twice as slow; neither watcher has.
        for (mode, rate) in [(Mode::H2watch, 490.0), (Mode::Unwatched, 500.0), (Mode::Tcpdump, 400.0)] {
            series.add(mode, Measured { requests_per_second: rate, cpu_seconds: 4.0 });
        }
        series.segments = Some(vec![("egress".to_owned(), 5, 123.4)]);
        let text = text(&[series], 2);
        assert!(text.contains("| 16 | unwatched | 750 | 1.000 | 3.00 | 1.000 |"), "{text}");
        assert!(text.contains("| 16 | h2watch | 735 | 0.980 | 3.05 | 1.025 |"), "{text}");
        assert!(text.contains("| 16 | egress | 5 | 123 |"), "{text}");
    }
}
