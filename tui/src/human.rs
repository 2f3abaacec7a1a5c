//! How numbers and names are written for people: the same on the screen and in lines. Programs get JSON instead.
//!
//! Spans and sizes are rounded down: a screen never claims more silence than there was.

use crate::model::sample::{Nanos, Reading};
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const US: Nanos = 1_000;
const MS: Nanos = 1_000 * US;
const SECOND: Nanos = 1_000 * MS;
const MINUTE: Nanos = 60 * SECOND;
const HOUR: Nanos = 60 * MINUTE;
const DAY: Nanos = 24 * HOUR;

/// A span of time in at most six columns below 100 days: `412µs`, `38ms`, `12.4s`, `5m12s`, `2h05m`, `3d04h`.
#[must_use]
pub fn span(span_ns: Nanos) -> String {
    match span_ns {
        0 => "0ms".to_owned(),
        1..MS => format!("{}µs", span_ns / US),
        MS..SECOND => format!("{}ms", span_ns / MS),
        SECOND..MINUTE => format!("{}.{}s", span_ns / SECOND, span_ns % SECOND / (100 * MS)),
        MINUTE..HOUR => format!("{}m{:02}s", span_ns / MINUTE, span_ns % MINUTE / SECOND),
        HOUR..DAY => format!("{}h{:02}m", span_ns / HOUR, span_ns % HOUR / MINUTE),
        DAY.. => format!("{}d{:02}h", span_ns / DAY, span_ns % DAY / HOUR),
    }
}

/// The same for what Linux tells in microseconds and milliseconds.
#[must_use]
pub fn span_us(span_us: u32) -> String {
    span(Nanos::from(span_us) * US)
}

/// See [`span_us`].
#[must_use]
pub fn span_ms(span_ms: u32) -> String {
    span(Nanos::from(span_ms) * MS)
}

/// An exact number with thousands separators: `48,247`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in at most six columns: exact below 100,000, then `482k`, `1.2M`.
#[must_use]
pub fn short_count(n: u64) -> String {
    match n {
        ..100_000 => count(n),
        100_000..1_000_000 => format!("{}k", n / 1_000),
        1_000_000..100_000_000 => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
        100_000_000.. => format!("{}M", n / 1_000_000),
    }
}

/// `1 stream`, `37 streams`.
#[must_use]
pub fn counted(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A size in binary units: `812 B`, `9.4 MiB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1_024 {
        return format!("{n} B");
    }
    let mut unit = 0;
    let mut tenths = u128::from(n) * 10 / 1_024;
    while tenths >= 10_240 && unit < UNITS.len() - 1 {
        tenths /= 1_024;
        unit += 1;
    }
    match tenths {
        ..1_000 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

/// Events per second: `0/s`, `0.4/s`, `154/s`, `12,004/s`.
#[must_use]
pub fn rate(per_s: f64) -> String {
    if per_s > 0.0 && per_s < 9.95 { format!("{per_s:.1}/s") } else { format!("{}/s", count(per_s as u64)) }
}

/// Bytes per second: `1.7 MiB/s`.
#[must_use]
pub fn byte_rate(per_s: f64) -> String {
    format!("{}/s", bytes(per_s as u64))
}

/// Time of day in UTC, with milliseconds where lines have to be told apart: `09:26:53.589`.
#[must_use]
pub fn time_of_day(unix_ns: i128, with_ms: bool) -> String {
    let ms = unix_ns.div_euclid(i128::from(MS)).rem_euclid(86_400_000);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let fraction = if with_ms { format!(".{:03}", ms % 1_000) } else { String::new() };
    format!("{hours:02}:{minutes:02}:{seconds:02}{fraction}")
}

/// Process name and id: `orders-api[4213]`.
#[must_use]
pub fn process(comm: &str, pid: u32) -> String {
    format!("{}[{pid}]", plain(comm))
}

/// The peer by the name that the client asked for, else by its address: `api.example:443`, `10.0.3.17:8443`.
#[must_use]
pub fn peer(reading: &Reading) -> String {
    match reading.tls.as_ref().and_then(|tls| tls.server_name.as_deref()) {
        Some(name) => format!("{}:{}", plain(name), reading.remote.port()),
        None => reading.remote.to_string(),
    }
}

/// Text from outside (process names, server names, errors) without control characters: it must not move a cursor.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// `text` in at most `columns` columns of a terminal, with an ellipsis where something was cut.
#[must_use]
pub fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut used = 0;
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used < columns
        })
        .collect();
    if columns > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_grow_from_microseconds_to_days() {
        let cases = [
            (0, "0ms"),
            (412_999, "412µs"),
            (999_999, "999µs"),
            (MS, "1ms"),
            (999 * MS, "999ms"),
            (12_449 * MS, "12.4s"),
            (59_999 * MS, "59.9s"),
            (MINUTE, "1m00s"),
            (HOUR - 1, "59m59s"),
            (2 * HOUR + 5 * MINUTE, "2h05m"),
            (3 * DAY + 4 * HOUR, "3d04h"),
        ];
        for (span_ns, text) in cases {
            assert_eq!(span(span_ns), text);
            assert!(text.width() <= 6, "{text} breaks its column");
        }
    }

    #[test]
    fn counts_are_grouped_and_shortened() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(short_count(99_999), "99,999");
        assert_eq!(short_count(482_100), "482k");
        assert_eq!(short_count(1_250_000), "1.2M");
        assert_eq!(counted(1, "stream"), "1 stream");
        assert_eq!(counted(0, "stream"), "0 streams");
    }

    #[test]
    fn sizes_and_rates() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_024), "1.0 KiB");
        assert_eq!(bytes(1_048_575), "1023 KiB");
        assert_eq!(bytes(1_048_576), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16383 PiB");
        assert_eq!(rate(0.0), "0/s");
        assert_eq!(rate(0.42), "0.4/s");
        assert_eq!(rate(154.7), "154/s");
        assert_eq!(byte_rate(1_840_000.0), "1.7 MiB/s");
    }

    #[test]
    fn time_of_day_is_utc() {
        assert_eq!(time_of_day(1_773_480_413_589_000_000, true), "09:26:53.589");
        assert_eq!(time_of_day(1_773_480_413_589_000_000, false), "09:26:53");
        assert_eq!(time_of_day(-1, true), "23:59:59.999");
    }

    #[test]
    fn wide_characters_are_cut_at_columns_not_at_characters() {
        assert_eq!(fit("orders-api", 10), "orders-api");
        assert_eq!(fit("orders-api", 6), "order…");
        assert_eq!(fit("日本語サーバー", 6), "日本…");
        assert_eq!(fit("日本語サーバー", 7), "日本語…");
        assert_eq!(fit("abc", 1), "…");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn a_process_name_cannot_move_the_cursor() {
        assert_eq!(process("evil\u{1b}[2J", 7), "evil\u{fffd}[2J[7]");
    }
}
