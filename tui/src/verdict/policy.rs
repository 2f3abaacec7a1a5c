//! What the user decides about verdicts: how long silence may last and how many streams make evidence.
//!
//! Numbers that are not the user's are beside the rule that needs them.

use super::Thresholds;
use crate::model::sample::Nanos;
use std::time::Duration;

/// One second on the kernel's clock.
pub const SECOND_NS: Nanos = 1_000_000_000;

/// When silence becomes a stall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StallAfter {
    /// In proportion to what the connection and its destination normally do, see `patience`.
    #[default]
    Auto,
    /// After this time, whatever is normal.
    Fixed(Duration),
}

impl std::str::FromStr for StallAfter {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            Ok(StallAfter::Auto)
        } else {
            humantime::parse_duration(text).map(StallAfter::Fixed)
        }
    }
}

/// When a connection is called stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub stall_after: StallAfter,
    /// Fewer unanswered streams than this are not a stall: one slow request is no evidence.
    pub min_streams: u64,
    /// `net.ipv4.tcp_retries2` of the watched sockets' network namespace; `None` when it could not be read.
    pub tcp_retries2: Option<u32>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stall_after: StallAfter::Auto,
            min_streams: Thresholds::default().min_streams,
            tcp_retries2: None,
        }
    }
}

impl From<Thresholds> for Policy {
    fn from(thresholds: Thresholds) -> Self {
        Self {
            stall_after: StallAfter::Fixed(thresholds.stall_after),
            min_streams: thresholds.min_streams,
            tcp_retries2: None,
        }
    }
}

impl Policy {
    /// The fixed threshold; `None` for `Auto`.
    #[must_use]
    pub fn fixed_ns(&self) -> Option<Nanos> {
        match self.stall_after {
            StallAfter::Auto => None,
            StallAfter::Fixed(after) => Some(Nanos::try_from(after.as_nanos()).unwrap_or(Nanos::MAX)),
        }
    }

    /// No silence shorter than this is ever a stall by the clock (TCP evidence may be sooner, see `black_hole`).
    #[must_use]
    pub fn shortest_ns(&self) -> Nanos {
        self.fixed_ns().unwrap_or(super::patience::FLOOR_NS)
    }
}
