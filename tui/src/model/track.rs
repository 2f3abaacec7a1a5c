//! One connection over time: what the last sample said, what changed since, and whether it is stalled.

use super::baseline::Baseline;
use super::counters::Counters;
use super::sample::{Library, Nanos, Reading, Transport, View};
use super::silence::{Ended, Look, Silence};
use super::snapshot::Connection;
use super::unread::{self, Unread};
use super::window::{self, UsedUp};
use crate::verdict::{Case, Policy, Standing, State, Verdict};

/// What a destination normally does, over all connections to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Normal {
    /// From a stream to the next frame of any kind.
    pub heard: Baseline,
    /// From a stream to the next answer of any stream.
    pub answered: Baseline,
}

impl Normal {
    /// Nothing is known.
    pub const UNKNOWN: Normal = Normal { heard: Baseline::EMPTY, answered: Baseline::EMPTY };
}

/// True for connections that are known to be HTTP/2.
#[must_use]
pub fn is_http2(reading: &Reading) -> bool {
    match reading.transport {
        Transport::Unknown => false,
        Transport::H2c => true,
        Transport::Tls => {
            reading.view != View::Records
                || reading.tls.as_ref().is_some_and(|tls| !tls.http2_evidence.is_empty())
        }
    }
}

/// What `Track::observe` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Same,
    Stalled,
    Sharpened,
    Recovered { stalled_ns: Nanos },
}

/// A connection that is followed.
#[derive(Debug)]
pub struct Track {
    pub reading: Reading,
    pub counters: Counters,
    pub verdict: Verdict,
    pub silence: Silence,
    answers: Silence,
    unread: Option<Unread>,
    used_up: Option<UsedUp>,
    joined_late: bool,
    /// The TLS library found in its process.
    pub program: Option<Library>,
    standing: Standing,
    /// Number of the sample that this is as of.
    pub seen: u64,
    observed_ns: Nanos,
    damage: u64,
    stalls: u64,
    streams_per_s: f64,
    bytes_sent_per_s: f64,
    bytes_received_per_s: f64,
}

impl Track {
    /// A connection seen for the first time. `before`: its counters when it was followed earlier, else zero.
    #[must_use]
    pub fn new(reading: &Reading, before: Counters) -> Self {
        Self {
            reading: reading.clone(),
            counters: before,
            verdict: Verdict::default(),
            silence: Silence::default(),
            answers: Silence::default(),
            unread: None,
            used_up: None,
            joined_late: false,
            program: None,
            standing: Standing::default(),
            seen: 0,
            observed_ns: 0,
            damage: 0,
            stalls: 0,
            streams_per_s: 0.0,
            bytes_sent_per_s: 0.0,
            bytes_received_per_s: 0.0,
        }
    }

    /// Takes the next reading and judges it.
    pub fn observe(
        &mut self,
        reading: &Reading,
        now_ns: Nanos,
        normal: &mut Normal,
        policy: &Policy,
    ) -> Turn {
        let counters = Counters::of(reading);
        let was_stalled = self.verdict.state == State::Stalled;
        let opened = counters.streams_opened.saturating_sub(self.counters.streams_opened);
        let certain =
            if was_stalled { opened.min(self.opened_at_the_stalls_pace(reading, now_ns)) } else { 0 };
        let closed_unheard = reading.closed_ns.is_some()
            && reading.first_unanswered_ns.is_some()
            && reading.first_unanswered_ns == self.reading.first_unanswered_ns;
        self.damage += certain;
        self.measure(&counters, now_ns);
        self.counters = counters;
        let first = self.seen == 0;
        self.follow_silences(reading, now_ns, normal, first);
        self.unread = unread::follow(self.unread, reading, now_ns);
        self.joined_late |= reading.lacks_its_beginning();
        // Windows can only be added up from the beginning.
        self.used_up = if self.joined_late { None } else { window::follow(self.used_up, reading, now_ns) };
        self.refresh(reading);
        let turn = self.judge(now_ns, normal, policy);
        if was_stalled && (closed_unheard || self.verdict.state == State::Stalled) {
            self.damage += opened - certain;
        }
        turn
    }

    /// When a stall ends between two looks, nobody saw how many streams were opened before the peer was heard again: a client
    /// may open thousands in the rest of the interval. Counted are those that the client would have opened at the pace of the
    /// silence, never more than were opened and are not waiting since.
    fn opened_at_the_stalls_pace(&self, reading: &Reading, now_ns: Nanos) -> u64 {
        let before = &self.reading;
        let (count, first_ns) = match (before.first_unanswered_ns, before.first_without_answer_ns) {
            (Some(first_ns), _) => (before.streams.unanswered, first_ns),
            (None, Some(first_ns)) => (before.streams.unanswered_by_streams, first_ns),
            (None, None) => return 0,
        };
        let silence_ns = u128::from(self.observed_ns.saturating_sub(first_ns).max(1));
        let elapsed_ns = u128::from(now_ns.saturating_sub(self.observed_ns));
        let paced = u64::try_from(u128::from(count) * elapsed_ns / silence_ns).unwrap_or(u64::MAX);
        let opened = reading.streams.opened.saturating_sub(before.streams.opened);
        paced.min(opened.saturating_sub(reading.streams.unanswered))
    }

    /// The connection as the rules see it.
    #[must_use]
    pub fn case<'a>(&'a self, now_ns: Nanos, normal: &'a Normal, policy: &'a Policy) -> Case<'a> {
        Case {
            now_ns,
            reading: &self.reading,
            policy,
            silence: &self.silence,
            answers: &self.answers,
            normal,
            unread: self.unread,
            used_up: self.used_up,
            joined_late: self.joined_late,
            program: self.program,
            stalled_since_ns: self.standing.stalled_since_ns(),
            cause: self.standing.cause(),
        }
    }

    fn judge(&mut self, now_ns: Nanos, normal: &Normal, policy: &Policy) -> Turn {
        let stalled_since = self.standing.stalled_since_ns();
        let cause = self.verdict.cause;
        let before = std::mem::take(&mut self.verdict);
        let (verdict, standing) = self.standing.judge(&self.case(now_ns, normal, policy), before);
        self.verdict = verdict;
        self.standing = standing;
        match (stalled_since, self.verdict.state == State::Stalled) {
            (None, true) => {
                self.stalls += 1;
                Turn::Stalled
            }
            (Some(_), true) if cause != self.verdict.cause => Turn::Sharpened,
            (Some(since), false) if self.reading.closed_ns.is_none() => {
                Turn::Recovered { stalled_ns: now_ns.saturating_sub(since) }
            }
            _ => Turn::Same,
        }
    }

    fn measure(&mut self, counters: &Counters, now_ns: Nanos) {
        let elapsed_ns = now_ns.saturating_sub(self.observed_ns);
        if self.seen > 0 && elapsed_ns > 0 {
            let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 * 1e9 / elapsed_ns as f64;
            self.streams_per_s = rate(counters.streams_opened, self.counters.streams_opened);
            self.bytes_sent_per_s = rate(counters.bytes_sent, self.counters.bytes_sent);
            self.bytes_received_per_s = rate(counters.bytes_received, self.counters.bytes_received);
        }
        self.observed_ns = now_ns;
    }

    /// Follows both silences, and teaches `normal` what the ended ones took.
    fn follow_silences(&mut self, reading: &Reading, now_ns: Nanos, normal: &mut Normal, first: bool) {
        let records = reading.view == View::Records;
        let heard = Look {
            now_ns,
            first_ns: reading.first_unanswered_ns,
            count: if records { reading.unanswered_records } else { reading.streams.unanswered },
            last_ns: if records { reading.sent.last_data_ns } else { reading.last_opened_ns },
            heard_ns: reading.last_heard_ns,
            abandoned: reading.streams.abandoned,
            records,
        };
        let answered = Look {
            first_ns: reading.first_without_answer_ns,
            count: reading.streams.unanswered_by_streams,
            heard_ns: reading.last_answer_ns,
            records: false,
            ..heard
        };
        let damaged = self.verdict.state == State::Stalled && self.damage > 0;
        let quick = |heard_ns: Option<Nanos>, before: Option<Nanos>| {
            let heard_ns = heard_ns.filter(|_| !first && heard_ns != before)?;
            let opened_ns = heard.last_ns.filter(|&opened| opened <= heard_ns)?;
            Some(heard_ns.min(now_ns).saturating_sub(opened_ns))
        };
        // A silence in which streams were given up, or that was a stall with damage, is no example of what is normal.
        // A lone record may have asked for nothing, so what came later was no answer.
        let teaches = |ended: Ended| {
            (ended.abandoned == 0 && !damaged && !(records && ended.lone)).then_some(ended.wait_ns)
        };
        let opened = heard.last_ns
            > if records { self.reading.sent.last_data_ns } else { self.reading.last_opened_ns };
        let waits = [
            (
                self.silence.look(&heard),
                quick(reading.last_heard_ns, self.reading.last_heard_ns),
                &mut normal.heard,
            ),
            (
                self.answers.look(&answered),
                quick(reading.last_answer_ns, self.reading.last_answer_ns),
                &mut normal.answered,
            ),
        ];
        for (ended, quick, baseline) in waits {
            baseline.age(now_ns);
            let wait_ns = match ended {
                Some(ended) => teaches(ended),
                None if opened && !damaged => quick,
                None => None,
            };
            if let Some(wait_ns) = wait_ns {
                baseline.note(now_ns, wait_ns);
            }
        }
    }

    /// Takes the new facts; names are only copied when they changed.
    fn refresh(&mut self, reading: &Reading) {
        let owner = std::mem::take(&mut self.reading.owner);
        let tls = self.reading.tls.take();
        self.reading = Reading {
            owner: if owner == reading.owner { owner } else { reading.owner.clone() },
            tls: if tls == reading.tls { tls } else { reading.tls.clone() },
            ..copy_facts(reading)
        };
    }

    /// Closes a connection that vanished without a word.
    pub fn vanish(&mut self, now_ns: Nanos) {
        self.reading.closed_ns = Some(now_ns);
    }

    /// The view of it that outputs get.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection {
            reading: self.reading.clone(),
            verdict: self.verdict.clone(),
            joined_late: self.joined_late,
            stalled_since_ns: self.standing.stalled_since_ns(),
            damage: self.damage,
            stalls: self.stalls,
            streams_per_s: self.streams_per_s,
            bytes_sent_per_s: self.bytes_sent_per_s,
            bytes_received_per_s: self.bytes_received_per_s,
        }
    }

    /// Streams opened while stalled, so far.
    #[must_use]
    pub fn damage(&self) -> u64 {
        self.damage
    }
}

/// Everything of a reading but its names.
fn copy_facts(reading: &Reading) -> Reading {
    Reading {
        id: reading.id,
        owner: Default::default(),
        local: reading.local,
        remote: reading.remote,
        opened_ns: reading.opened_ns,
        seeded: reading.seeded,
        closed_ns: reading.closed_ns,
        transport: reading.transport,
        library: reading.library,
        view: reading.view,
        tls: None,
        sent: reading.sent,
        received: reading.received,
        streams: reading.streams,
        first_unanswered_ns: reading.first_unanswered_ns,
        first_without_answer_ns: reading.first_without_answer_ns,
        last_opened_ns: reading.last_opened_ns,
        last_heard_ns: reading.last_heard_ns,
        last_answer_ns: reading.last_answer_ns,
        unanswered_records: reading.unanswered_records,
        tcp: reading.tcp,
    }
}
