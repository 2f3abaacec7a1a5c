//! Numbers as people say them.

use crate::model::sample::Nanos;

/// A length of time: "340 ms", "12.4 s", "9 min", "2.5 h".
#[must_use]
pub fn span(ns: Nanos) -> String {
    let seconds = ns as f64 / 1e9;
    match seconds {
        s if s < 0.0995 => format!("{:.0} ms", s * 1e3),
        s if s < 99.95 => format!("{s:.1} s"),
        s if s < 570.0 => format!("{s:.0} s"),
        s if s < 5_970.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

/// A length of time in milliseconds, as TCP facts have it.
#[must_use]
pub fn span_ms(ms: u64) -> String {
    span(ms.saturating_mul(1_000_000))
}

/// "1 stream", "3 streams".
#[must_use]
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_have_units() {
        for (ns, text) in [
            (0, "0 ms"),
            (99_000_000, "99 ms"),
            (340_000_000, "0.3 s"),
            (12_440_000_000, "12.4 s"),
            (312_000_000_000, "312 s"),
            (600_000_000_000, "10 min"),
            (7_200_000_000_000, "2.0 h"),
        ] {
            assert_eq!(span(ns), text);
        }
        assert_eq!((count(1, "stream"), count(0, "stream")), ("1 stream".to_owned(), "0 streams".to_owned()));
    }
}
