//! The state machine of one connection's verdict: when a stall begins, which cause it has, when it ends.

use super::{Case, Cause, Severity, State, Verdict};
use crate::model::sample::Nanos;

/// What was decided about a connection so far.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    stall: Option<Stall>,
}

#[derive(Clone, Debug)]
struct Stall {
    since_ns: Nanos,
    cause: Cause,
}

impl Standing {
    /// Since when it is stalled.
    #[must_use]
    pub fn stalled_since_ns(&self) -> Option<Nanos> {
        self.stall.as_ref().map(|stall| stall.since_ns)
    }

    /// Judges the case, in the light of what was decided before.
    pub fn judge(&mut self, case: &Case<'_>) -> Verdict {
        let silence_ns = case.silence_ns();
        let over = silence_ns.is_some_and(|silence_ns| match case.policy.fixed_ns() {
            Some(after_ns) => case.unanswered() >= case.policy.min_streams && silence_ns >= after_ns,
            None => super::patience::SILENCE.is_over(case.silence, &case.normal.heard, case.now_ns),
        });
        let heard_since =
            |stall: &Stall| case.reading.last_heard_ns.is_some_and(|heard| heard > stall.since_ns);
        let stays = silence_ns.is_some() && self.stall.as_ref().is_some_and(|stall| !heard_since(stall));
        if (over && case.reading.closed_ns.is_none()) || stays {
            let now_ns = case.now_ns;
            let stall = self.stall.get_or_insert(Stall { since_ns: now_ns, cause: Cause::Unknown });
            return Verdict {
                state: State::Stalled,
                cause: Some(stall.cause),
                severity: Severity::Critical,
                evidence: format!(
                    "{} in {:.1} s without {}",
                    case.waiting(),
                    silence_ns.unwrap_or_default() as f64 / 1e9,
                    case.nothing()
                ),
                gives_up: None,
                advice: None,
            };
        }
        self.stall = None;
        let state = match silence_ns {
            Some(_) => State::Waiting,
            None if case.reading.streams.in_flight > 0 => State::Healthy,
            None => State::Idle,
        };
        Verdict { state, ..Verdict::default() }
    }
}
