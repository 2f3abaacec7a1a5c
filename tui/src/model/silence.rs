//! One silence: streams were opened and the peer was not heard since. When it began, and at how many different moments the
//! client went on opening streams, or gave streams up, while it lasted.
//!
//! Streams that are opened together are one witness: what delays one of them delays all. Streams opened at different moments
//! are several.

use super::sample::Nanos;

/// Moments that are kept; `verdict::patience` never needs more.
pub const MOMENTS: usize = 16;

/// Two events nearer than this are one moment: one page, one batch, one retry round.
pub const MOMENT_NS: Nanos = 250_000_000;

/// With records, what is sent at once after something was received is most likely a reaction to it (WINDOW_UPDATE, PING or
/// SETTINGS ACK), not a question. If it stays alone for this long, the silence is counted from what follows it.
const REACTION_NS: Nanos = 1_000_000_000;

/// What one sample says about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    pub now_ns: Nanos,
    /// First stream (or record) that nothing from the peer followed.
    pub first_ns: Option<Nanos>,
    /// Streams (or records) since then.
    pub count: u64,
    /// The newest of them, as far as known.
    pub last_ns: Option<Nanos>,
    /// When the peer was last heard (or last answered).
    pub heard_ns: Option<Nanos>,
    /// Streams given up without an answer, in total over the connection.
    pub abandoned: u64,
    /// Records are counted, not streams.
    pub records: bool,
}

/// A silence that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How long the first stream waited, at most.
    pub wait_ns: Nanos,
    /// Streams were given up while it lasted.
    pub abandoned: u64,
    /// It was seen to consist of one stream or record only.
    pub lone: bool,
}

/// The present silence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence {
    /// As the kernel tells it; identifies the silence.
    first_ns: Option<Nanos>,
    count: u64,
    moments: [Nanos; MOMENTS],
    n_moments: usize,
    newest_moment_ns: Nanos,
    /// The first moment was a lone reaction.
    reaction: bool,
    abandoned_before: u64,
    abandoned_last: u64,
    n_abandoned_moments: u32,
    newest_abandoned_ns: Nanos,
}

impl Silence {
    /// Takes the next look. Returns the silence that ended since the last look, if one was under way.
    pub fn look(&mut self, look: &Look) -> Option<Ended> {
        let mut ended = None;
        if self.first_ns != look.first_ns {
            ended = self.end(look);
            *self = Silence {
                first_ns: look.first_ns,
                // What was given up in the sample that shows a silence for the first time may belong to the one before.
                abandoned_before: look.abandoned,
                abandoned_last: look.abandoned,
                ..Silence::default()
            };
        }
        let Some(first_ns) = self.first_ns else { return ended };
        if self.n_moments == 0 {
            self.moment(first_ns);
            self.count = 1;
        }
        if look.count > self.count {
            self.spread(look);
            self.count = look.count;
        }
        if look.abandoned > self.abandoned_last {
            self.abandoned_last = look.abandoned;
            if look.now_ns >= self.newest_abandoned_ns.saturating_add(MOMENT_NS) {
                self.newest_abandoned_ns = look.now_ns;
                self.n_abandoned_moments += 1;
            }
        }
        ended
    }

    fn end(&self, look: &Look) -> Option<Ended> {
        let first_ns = self.first_ns?;
        let heard_ns = look.heard_ns.filter(|&heard| heard >= first_ns)?;
        let wait_ns = heard_ns.min(look.now_ns.max(first_ns)) - first_ns;
        let abandoned = self.abandoned_last - self.abandoned_before;
        Some(Ended { wait_ns, abandoned, lone: self.count <= 1 })
    }

    /// Between two looks only the newest time is known: more streams in between are spread evenly, one per moment at most.
    fn spread(&mut self, look: &Look) {
        let last_ns = look.last_ns.unwrap_or(look.now_ns).min(look.now_ns);
        let known_ns = self.newest_moment_ns;
        if last_ns < known_ns.saturating_add(MOMENT_NS) {
            return;
        }
        if self.n_moments == 1 && look.records {
            let lone = last_ns > known_ns + REACTION_NS && look.count - self.count <= 1;
            let reacting = look.heard_ns.is_some_and(|heard| known_ns < heard.saturating_add(REACTION_NS));
            if lone && reacting {
                self.reaction = true;
                self.n_moments = 0;
                self.moment(last_ns);
                return;
            }
        }
        let gap_ns = last_ns - known_ns;
        let n = (gap_ns / MOMENT_NS).min(look.count - self.count).clamp(1, MOMENTS as u64);
        for i in 1..=n {
            self.moment(known_ns + gap_ns / n * i);
        }
    }

    fn moment(&mut self, at_ns: Nanos) {
        if let Some(place) = self.moments.get_mut(self.n_moments) {
            *place = at_ns;
            self.n_moments += 1;
        }
        self.newest_moment_ns = at_ns;
    }

    /// When it began; with records, without a lone reaction.
    #[must_use]
    pub fn start_ns(&self) -> Option<Nanos> {
        if self.reaction { self.moments.first().copied() } else { self.first_ns }
    }

    /// For how long it has lasted; `None` while nothing waits.
    #[must_use]
    pub fn length_ns(&self, now_ns: Nanos) -> Option<Nanos> {
        self.start_ns().map(|start| now_ns.saturating_sub(start))
    }

    /// Moments at which streams were opened, the first included; at most `MOMENTS`.
    #[must_use]
    pub fn moments(&self) -> &[Nanos] {
        self.moments.get(..self.n_moments).unwrap_or_default()
    }

    /// Moments at which streams were given up.
    #[must_use]
    pub fn abandoned_moments(&self) -> u32 {
        self.n_abandoned_moments
    }

    /// Streams given up.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned_last - self.abandoned_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    fn look(now_ms: u64, first_ms: Option<u64>, count: u64, last_ms: u64) -> Look {
        Look {
            now_ns: now_ms * MS,
            first_ns: first_ms.map(|ms| ms * MS),
            count,
            last_ns: Some(last_ms * MS),
            heard_ns: Some(900 * MS),
            ..Look::default()
        }
    }

    #[test]
    fn a_burst_is_one_moment_and_a_steady_client_many() {
        let mut s = Silence::default();
        s.look(&look(1_000, Some(990), 1_000, 999));
        s.look(&look(1_250, Some(990), 1_000, 999));
        assert_eq!(s.moments().len(), 1);
        s.look(&look(3_250, Some(990), 1_100, 3_200));
        // 2.2 s in steps of at least 250 ms, and the first.
        assert_eq!(s.moments().len(), 9);
        assert_eq!(s.length_ns(3_250 * MS), Some(2_260 * MS));
    }

    #[test]
    fn few_streams_are_few_moments() {
        let mut s = Silence::default();
        s.look(&look(1_000, Some(1_000), 1, 1_000));
        s.look(&look(60_000, Some(1_000), 2, 59_000));
        assert_eq!(s.moments(), [1_000 * MS, 59_000 * MS]);
    }

    #[test]
    fn it_ends_when_the_peer_is_heard_and_tells_how_long_it_was() {
        let mut s = Silence::default();
        assert_eq!(s.look(&look(1_000, Some(1_000), 1, 1_000)), None);
        let mut end = look(3_000, None, 0, 1_000);
        end.heard_ns = Some(2_500 * MS);
        end.abandoned = 2;
        assert_eq!(s.look(&end), Some(Ended { wait_ns: 1_500 * MS, abandoned: 0, lone: true }));
        assert_eq!(s.length_ns(3_000 * MS), None);
    }

    #[test]
    fn given_up_streams_are_counted_from_its_start() {
        let mut s = Silence::default();
        for (now, abandoned) in [(1_000, 7), (2_000, 9), (2_100, 10), (3_000, 11)] {
            s.look(&Look { abandoned, ..look(now, Some(1_000), 4, 1_000) });
        }
        assert_eq!((s.abandoned(), s.abandoned_moments()), (4, 2));
    }

    #[test]
    fn a_lone_record_after_something_was_received_is_a_reaction() {
        let mut s = Silence::default();
        let records = |now, count, last| Look { records: true, ..look(now, Some(1_000), count, last) };
        s.look(&records(1_000, 1, 1_000));
        s.look(&records(6_100, 2, 6_000));
        assert_eq!(s.length_ns(6_100 * MS), Some(100 * MS));
        assert_eq!(s.moments().len(), 1);
        // A busy client is not mistaken for one: its records go on.
        let mut s = Silence::default();
        s.look(&records(1_000, 1, 1_000));
        s.look(&records(1_400, 2, 1_390));
        assert_eq!(s.length_ns(1_400 * MS), Some(400 * MS));
        assert_eq!(s.moments().len(), 2);
    }
}
