//! What a rule may look at: one connection at one moment, with what is normal for it. Nothing is judged here.

use super::words::count;
use super::{Cause, Policy};
use crate::model::sample::{Library, Nanos, Reading, TcpFacts, View};
use crate::model::silence::Silence;
use crate::model::track::Normal;
use crate::model::unread::Unread;
use crate::model::window::UsedUp;

/// One connection at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub now_ns: Nanos,
    pub reading: &'a Reading,
    pub policy: &'a Policy,
    /// Streams since any frame came.
    pub silence: &'a Silence,
    /// Streams since any stream was answered.
    pub answers: &'a Silence,
    pub normal: &'a Normal,
    pub unread: Option<Unread>,
    pub used_up: Option<UsedUp>,
    /// Its beginning was not seen.
    pub joined_late: bool,
    /// The TLS library found in its process, whatever this connection uses.
    pub program: Option<Library>,
    /// Since when it is stalled already.
    pub stalled_since_ns: Option<Nanos>,
    /// And with which cause.
    pub cause: Option<Cause>,
}

impl Case<'_> {
    /// Time since `at`.
    #[must_use]
    pub fn since(&self, at: Nanos) -> Nanos {
        self.now_ns.saturating_sub(at)
    }

    /// Time since `at`, when it ever happened.
    #[must_use]
    pub fn ago(&self, at: Option<Nanos>) -> Option<Nanos> {
        at.map(|at| self.since(at))
    }

    /// For how long nothing was heard since the first stream that waits; `None` while none does.
    #[must_use]
    pub fn silence_ns(&self) -> Option<Nanos> {
        self.silence.length_ns(self.now_ns)
    }

    /// Streams, or with records only: records, since the peer was last heard.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        if self.records() { self.reading.unanswered_records } else { self.reading.streams.unanswered }
    }

    /// Only TLS records are seen: streams are not counted.
    #[must_use]
    pub fn records(&self) -> bool {
        self.reading.view == View::Records
    }

    /// "37 streams", or "about 37 streams" where frames that end a stream may have been missed.
    #[must_use]
    pub fn in_flight(&self) -> String {
        let streams = &self.reading.streams;
        let about = if streams.approximate { "about " } else { "" };
        format!("{about}{}", count(streams.in_flight, "stream"))
    }

    /// What is counted.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        if self.records() { "TLS record" } else { "stream" }
    }

    /// What the peer does not send, in the words of the view.
    #[must_use]
    pub fn nothing(&self) -> &'static str {
        if self.reading.view == View::Frames { "a frame" } else { "a TLS application record" }
    }

    /// TCP facts of this sample.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpFacts> {
        self.reading.tcp.as_ref()
    }
}
