//! How moments and spans are written in JSON: RFC 3339 in UTC with milliseconds, and whole milliseconds.

use crate::model::sample::Nanos;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const RFC3339_MS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// RFC 3339 in UTC. A time that no calendar has (years beyond 9999) becomes the epoch.
pub(super) fn rfc3339(unix_ns: i128) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(unix_ns)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(RFC3339_MS)
        .unwrap_or_default()
}

/// Whole milliseconds, rounded down: `silence_ms` never claims more than there was.
pub(super) fn ms(span_ns: Nanos) -> u64 {
    span_ns / 1_000_000
}

/// Milliseconds from `then` to `now`.
pub(super) fn ago_ms(then: Option<Nanos>, now_ns: Nanos) -> Option<u64> {
    then.map(|then_ns| ms(now_ns.saturating_sub(then_ns)))
}

/// A rate with three decimals: more would be noise that makes lines long.
pub(super) fn rate(per_s: f64) -> f64 {
    (per_s * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{ago_ms, ms, rfc3339};

    #[test]
    fn time_is_rfc3339_utc_with_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_700_000_000_123_999_999), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(i128::MAX), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn spans_are_rounded_down_and_never_negative() {
        assert_eq!(ms(1_999_999), 1);
        assert_eq!(ago_ms(Some(5_000_000), 3_000_000), Some(0));
        assert_eq!(ago_ms(None, 3_000_000), None);
    }
}
