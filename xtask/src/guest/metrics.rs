//! The exporter as Prometheus sees it: one request, one number.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::say;

/// Where `h2watch export` listens by itself.
const ADDRESS: &str = "127.0.0.1:9632";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks until the sum over all series of `name` fits; gives it.
pub(super) fn wait_for(limit: Duration, name: &str, fits: impl Fn(f64) -> bool) -> Result<f64> {
    let until = Instant::now() + limit;
    loop {
        // It may not listen yet, and a series may not exist yet.
        let sum = get().and_then(|text| sum(&text, name));
        match sum {
            Ok(sum) if fits(sum) => return Ok(sum),
            _ if Instant::now() > until => {
                bail!("{name} did not fit in {}: {sum:?}", say::took(limit));
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn get() -> Result<String> {
    let mut stream = TcpStream::connect(ADDRESS).with_context(|| format!("cannot connect to {ADDRESS}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {ADDRESS}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "not the metrics: {answer}");
    Ok(answer)
}

fn sum(text: &str, name: &str) -> Result<f64> {
    let of_series = |line: &str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
        // Behind the last brace of the labels: the value, and perhaps a time and an exemplar.
        let rest = rest.split_once("} ").map_or(rest, |(_, values)| values);
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    let values: Vec<f64> = text.lines().filter_map(of_series).collect();
    ensure!(!values.is_empty(), "there is no {name}");
    Ok(values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn the_series_of_a_name_are_added_up_and_those_of_longer_names_are_not() {
        let text = "# TYPE x gauge\nx{a=\"1\"} 2\nx{a=\"}\"} 3 # {id=\"7\"} 1.0\nx_total 5\ny 7\n";
        assert!((sum(text, "x").unwrap() - 5.0).abs() < f64::EPSILON);
        assert!((sum(text, "y").unwrap() - 7.0).abs() < f64::EPSILON);
        assert!(sum(text, "z").is_err());
    }
}
