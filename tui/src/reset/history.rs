//! What was reset before, as far as it limits what may be reset now. Pure.

use super::policy::{Budget, Policy};
use crate::model::sample::{Cookie, Nanos};
use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// A machine that stood still gets as long again to catch up, at most this.
const LONGEST_HOLD: Duration = Duration::from_secs(5);
/// A look this late is ordinary scheduling on a busy machine.
const SHORTEST_PAUSE: Duration = Duration::from_millis(4);

#[derive(Clone, Copy, Debug)]
struct Fired {
    at_ns: Nanos,
    pid: u32,
    remote: SocketAddr,
}

/// Resets of the past, and pauses of this machine.
#[derive(Clone, Debug, Default)]
pub struct History {
    fired: VecDeque<Fired>,
    done: HashSet<Cookie>,
    failed: HashSet<Cookie>,
    hold_until_ns: Nanos,
}

impl History {
    /// A reset was done (or, in a dry run, would have been).
    pub fn fired(&mut self, at_ns: Nanos, id: Cookie, pid: u32, remote: SocketAddr) {
        self.fired.push_back(Fired { at_ns, pid, remote });
        self.done.insert(id);
    }

    /// A reset failed; it is not tried again by itself.
    pub fn failed(&mut self, id: Cookie) {
        self.failed.insert(id);
    }

    /// A look came later than it was planned. The peer's answers may have stood still with this machine (a suspended
    /// laptop, a stolen virtual CPU), so silence proves nothing until they had time to be heard.
    pub fn looked_late(&mut self, now_ns: Nanos, late: Duration) {
        if late >= SHORTEST_PAUSE {
            let hold = nanos(late.min(LONGEST_HOLD));
            self.hold_until_ns = self.hold_until_ns.max(now_ns.saturating_add(hold));
        }
    }

    /// Forgets what no longer limits anything; `open` says which connections still exist.
    pub fn forget(&mut self, now_ns: Nanos, policy: &Policy, open: impl Fn(Cookie) -> bool) {
        let longest = policy.budget.window.max(policy.budget_total.window).max(policy.cool_down);
        while self.fired.front().is_some_and(|fired| now_ns.saturating_sub(fired.at_ns) > nanos(longest)) {
            self.fired.pop_front();
        }
        self.done.retain(|id| open(*id));
        self.failed.retain(|id| open(*id));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fired.is_empty() && self.done.is_empty() && self.failed.is_empty()
    }

    /// Reset (or decided in a dry run) already: a snapshot may still show it for a moment.
    pub(super) fn is_done(&self, id: Cookie) -> bool {
        self.done.contains(&id)
    }

    pub(super) fn has_failed(&self, id: Cookie) -> bool {
        self.failed.contains(&id)
    }

    /// How long this machine still needs to catch up after a pause.
    pub(super) fn hold(&self, now_ns: Nanos) -> Option<Duration> {
        self.hold_until_ns.checked_sub(now_ns).filter(|left| *left > 0).map(Duration::from_nanos)
    }

    /// Resets within the budget's window; of one process, or of all with `None`.
    pub(super) fn spent(&self, now_ns: Nanos, budget: Budget, pid: Option<u32>) -> u32 {
        u32::try_from(self.recent(now_ns, budget, pid).count()).unwrap_or(u32::MAX)
    }

    /// When a budget that is used up has room for one again; never when it has none at all.
    pub(super) fn frees_ns(&self, now_ns: Nanos, budget: Budget, pid: Option<u32>) -> Option<Nanos> {
        let over = self.spent(now_ns, budget, pid).checked_sub(budget.resets)?;
        let last = self.recent(now_ns, budget, pid).nth(usize::try_from(over).ok()?)?;
        Some(last.saturating_add(nanos(budget.window)))
    }

    /// Times of the resets within the budget's window, the oldest first.
    fn recent(&self, now_ns: Nanos, budget: Budget, pid: Option<u32>) -> impl Iterator<Item = Nanos> {
        let counts = move |fired: &&Fired| {
            now_ns.saturating_sub(fired.at_ns) < nanos(budget.window)
                && pid.is_none_or(|pid| pid == fired.pid)
        };
        self.fired.iter().filter(counts).map(|fired| fired.at_ns)
    }

    /// How long a connection that was opened at `opened_ns` is still left alone, because it is the replacement of one that
    /// was reset. A connection from before that reset died of the same fault and is no replacement.
    pub(super) fn cooling(
        &self,
        now_ns: Nanos,
        cool_down: Duration,
        remote: SocketAddr,
        opened_ns: Nanos,
    ) -> Option<Duration> {
        let before = |fired: &&Fired| fired.remote == remote && fired.at_ns <= opened_ns;
        let last = self.fired.iter().rev().find(before)?;
        let until = last.at_ns.saturating_add(nanos(cool_down));
        until.checked_sub(now_ns).filter(|left| *left > 0).map(Duration::from_nanos)
    }
}

pub(super) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
