//! Devices of sockets that are bound to one: SO_BINDTODEVICE, a VRF, IPv6 link-local addresses. The kernel finds such a socket by
//! its addresses only together with the number of its device, which the probe does not see. A dump has it.

use crate::model::sample::Cookie;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an answer is kept that nobody asks for again. Those about sockets that are gone are not asked for long.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// A dump looks at every socket of the namespace. This many times as long as the last one took there is none.
const PAUSE: u32 = 10;

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    known: HashMap<Cookie, Known>,
    /// When the next search may begin.
    paused_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// 0: not found, or bound to none.
    interface: u32,
    asked_at: Instant,
}

impl Interfaces {
    /// Number of the socket's device; 0 where none is known.
    pub(super) fn of(&mut self, cookie: Cookie, now: Instant) -> u32 {
        match self.known.get_mut(&cookie) {
            Some(known) if known.interface != 0 => {
                known.asked_at = now;
                known.interface
            }
            _ => 0,
        }
    }

    /// Whether to search for a socket that was not found: not when a search did not find it a while ago, and not without a
    /// pause after the last search.
    pub(super) fn may_search(&self, cookie: Cookie, now: Instant) -> bool {
        let in_vain =
            self.known.get(&cookie).is_some_and(|known| known.interface == 0 && known.is_fresh(now));
        !in_vain && self.paused_until.is_none_or(|until| now >= until)
    }

    /// Keeps the answer of a search that began at `began` and ended `now`.
    pub(super) fn note(&mut self, cookie: Cookie, interface: u32, began: Instant, now: Instant) {
        self.known.retain(|_, known| known.is_fresh(now));
        self.known.insert(cookie, Known { interface, asked_at: now });
        self.paused_until = Some(now + now.saturating_duration_since(began) * PAUSE);
    }
}

impl Known {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked_at) < KEPT_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_paid_for_with_a_pause_and_not_repeated_in_vain() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut interfaces = Interfaces::default();
        assert!(interfaces.may_search(1, at(0)));
        interfaces.note(1, 0, at(0), at(20));
        assert!(!interfaces.may_search(2, at(219)), "the first search took 20 ms");
        assert!(interfaces.may_search(2, at(220)));
        assert!(!interfaces.may_search(1, at(10_019)), "it is gone");
        assert!(interfaces.may_search(1, at(10_020)));
        assert_eq!(interfaces.of(1, at(220)), 0);
    }

    #[test]
    fn a_device_is_kept_while_it_is_asked_for() {
        let began = Instant::now();
        let at = |s| began + Duration::from_secs(s);
        let mut interfaces = Interfaces::default();
        interfaces.note(1, 7, at(0), at(0));
        interfaces.note(2, 8, at(0), at(0));
        assert_eq!(interfaces.of(1, at(9)), 7);
        interfaces.note(3, 0, at(15), at(15));
        assert_eq!((interfaces.of(1, at(15)), interfaces.of(2, at(15))), (7, 0));
        assert!(interfaces.may_search(1, at(16)), "it was bound to another device since");
    }
}
