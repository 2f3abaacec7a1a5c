//! What may be reset, and how often. Every number here has its reason; nothing is decided here.

use crate::verdict::Cause;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

/// How far h2watch goes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is ever reset.
    #[default]
    Off,
    /// Only what a person asks for in the dashboard.
    Confirm,
    /// Everything is decided and reported as with `Auto`, and nothing is reset.
    DryRun,
    /// Within the policy, without asking.
    Auto,
}

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::Off, Mode::Confirm, Mode::DryRun, Mode::Auto];

    /// The word of `--reset`, JSON and screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Confirm => "confirm",
            Mode::DryRun => "dry-run",
            Mode::Auto => "auto",
        }
    }
}

impl FromStr for Mode {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .with_context(|| format!("unknown reset mode {text:?}: use off, confirm, dry-run or auto"))
    }
}

/// So many resets in so long a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub resets: u32,
    pub window: Duration,
    unit: &'static str,
}

impl Budget {
    /// Units by their names.
    const UNITS: [(&'static str, Duration); 3] =
        [("s", Duration::from_secs(1)), ("min", Duration::from_secs(60)), ("h", Duration::from_secs(3600))];

    /// `resets` a minute.
    #[must_use]
    pub const fn per_minute(resets: u32) -> Self {
        Self { resets, window: Duration::from_secs(60), unit: "min" }
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.resets, self.unit)
    }
}

impl FromStr for Budget {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || format!("{text:?} is no budget: write a number, a slash and s, min or h, as in 5/min");
        let (number, name) = text.split_once('/').with_context(wrong)?;
        let resets = number.trim().parse().with_context(wrong)?;
        let unit = Self::UNITS.into_iter().find(|(unit, _)| *unit == name.trim());
        let (unit, window) = unit.with_context(wrong)?;
        Ok(Self { resets, window, unit })
    }
}

/// The limits of `dry-run` and `auto`. What a person asks for is limited by the fresh look alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub mode: Mode,
    /// Causes that may be reset.
    pub causes: BTreeSet<Cause>,
    /// How long a verdict must have held.
    pub min_age: Duration,
    /// For each process.
    pub budget: Budget,
    /// For all of them together.
    pub budget_total: Budget,
    /// After a reset, connections made since then to the same destination are left alone for this long.
    pub cool_down: Duration,
    /// The threshold of `stalled` when it is a fixed one, to measure how late a reset came.
    pub stall_after: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            // Nothing arrives at all, so nothing that could still be answered is thrown away, and a new connection takes
            // another path or another backend. For the others see `docs/reset.md`.
            causes: BTreeSet::from([Cause::BlackHole, Cause::SilentPeer]),
            // A stall that ends by itself mostly does so at once.
            min_age: Duration::from_secs(1),
            // A pool of a few connections to one dead peer can be renewed; a misjudgement cannot empty a host.
            budget: Budget::per_minute(5),
            budget_total: Budget::per_minute(20),
            // The replacement is as dead as the first: the peer is down, not the connection.
            cool_down: Duration::from_secs(10),
            stall_after: None,
        }
    }
}

/// Causes for the allow-list, separated by commas.
pub fn causes(text: &str) -> Result<BTreeSet<Cause>> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(cause).collect()
}

fn cause(word: &str) -> Result<Cause> {
    let allowed = || Cause::ALL.into_iter().filter(|cause| never(*cause).is_none()).map(Cause::as_str);
    let Some(cause) = Cause::ALL.into_iter().find(|cause| cause.as_str() == word) else {
        bail!("unknown cause {word:?}: use some of {}", allowed().collect::<Vec<_>>().join(", "));
    };
    match never(cause) {
        Some(reason) => bail!("{word} is never reset: {reason}"),
        None => Ok(cause),
    }
}

/// Why a cause cannot be allowed at all.
pub(super) fn never(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::ReaderBlocked => Some("the answers are here already and a reset would throw them away"),
        Cause::BlackHole
        | Cause::SilentPeer
        | Cause::HungServer
        | Cause::PeerWindowClosed
        | Cause::FlowControl
        | Cause::GoawayIgnored
        // Within the first 40 ms a peer may delay its ACK, so that a dead path and a dead peer look the same: whoever has
        // shorter timeouts than that allows this one, knowing that it is silence without further evidence.
        | Cause::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_and_written_the_same() {
        for text in ["5/min", "0/min", "1/s", "100/h"] {
            assert_eq!(text.parse::<Budget>().unwrap().to_string(), text);
        }
        for text in ["5", "5/day", "-1/min", "x/min", "/min", ""] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            assert!(error.contains("5/min"), "{text}: {error}");
        }
    }

    #[test]
    fn modes_are_read() {
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse::<Mode>().unwrap(), mode);
        }
        assert!("on".parse::<Mode>().unwrap_err().to_string().contains("dry-run"));
    }

    #[test]
    fn causes_that_lose_answers_cannot_be_allowed() {
        let both = BTreeSet::from([Cause::BlackHole, Cause::HungServer]);
        assert_eq!(causes("hung_server, black_hole").unwrap(), both);
        assert!(causes("reader_blocked").unwrap_err().to_string().contains("answers"));
        assert!(causes("unknown").is_ok(), "by name, never by default");
        let error = causes("blackhole").unwrap_err().to_string();
        assert!(error.contains("black_hole") && !error.contains("reader_blocked"), "{error}");
    }

    #[test]
    fn nothing_is_reset_by_default() {
        assert_eq!(Policy::default().mode, Mode::Off);
        assert!(!Policy::default().causes.contains(&Cause::Unknown));
        assert!(Policy::default().causes.iter().all(|cause| never(*cause).is_none()));
    }
}
