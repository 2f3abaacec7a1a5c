//! Did a reset help? Follows what the process does afterwards, over the snapshots that come. Pure.

use crate::model::sample::{Cookie, Nanos, View};
use crate::model::snapshot::{Connection, Snapshot};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A process that has not connected again by then is not waiting for this peer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the process did after a reset. Times count from the reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It connected to the same peer again, and was answered.
    Recovered { opened: Duration, first_frame: Duration },
    /// It went on with a connection to the same peer that it had already.
    OtherConnection { first_frame: Duration },
    /// It connected again and heard nothing: the peer is dead, not the connection.
    StillSilent { opened: Duration },
    /// It did not connect to this address again.
    NotReopened,
}

impl Recovery {
    /// When another connection to the peer was opened.
    #[must_use]
    pub fn opened(self) -> Option<Duration> {
        match self {
            Recovery::Recovered { opened, .. } | Recovery::StillSilent { opened } => Some(opened),
            Recovery::OtherConnection { .. } | Recovery::NotReopened => None,
        }
    }

    /// When the first frame came over a connection to the peer.
    #[must_use]
    pub fn first_frame(self) -> Option<Duration> {
        match self {
            Recovery::Recovered { first_frame, .. } | Recovery::OtherConnection { first_frame } => {
                Some(first_frame)
            }
            Recovery::StillSilent { .. } | Recovery::NotReopened => None,
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recovery::Recovered { opened, first_frame } => write!(
                f,
                "new connection after {} ms, first frame after {} ms",
                opened.as_millis(),
                first_frame.as_millis()
            ),
            Recovery::OtherConnection { first_frame } => write!(
                f,
                "the process goes on with a connection it had already, first frame after {} ms",
                first_frame.as_millis()
            ),
            Recovery::StillSilent { opened } => write!(
                f,
                "new connection after {} ms, and nothing heard on it within {} s: the peer is silent, not the connection",
                opened.as_millis(),
                PATIENCE.as_secs()
            ),
            Recovery::NotReopened => {
                write!(f, "the process did not connect to this address again within {} s", PATIENCE.as_secs())
            }
        }
    }
}

/// A reset whose outcome is not known yet.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The connection as it was right before the reset.
    pub connection: Connection,
    pub reset_ns: Nanos,
    new: Option<(Cookie, Duration)>,
}

impl Followed {
    #[must_use]
    pub fn new(connection: Connection, reset_ns: Nanos) -> Self {
        Self { connection, reset_ns, new: None }
    }

    /// Streams that ended with the reset; `None` where the view cannot count them.
    #[must_use]
    pub fn streams_lost(&self) -> Option<u64> {
        let reading = &self.connection.reading;
        (reading.view != View::Records).then_some(reading.streams.in_flight)
    }

    /// The outcome, once it is known. A time is as fine as the snapshots are frequent.
    pub fn observe(&mut self, snapshot: &Snapshot) -> Option<Recovery> {
        for connection in &snapshot.connections {
            if !self.replaces(connection) {
                continue;
            }
            let reading = &connection.reading;
            let heard = reading.last_heard_ns.filter(|at| *at > self.reset_ns).map(|at| self.after(at));
            if reading.opened_ns < self.reset_ns {
                // Records do not tell new streams from old ones: there, being heard is all that can be asked.
                let used = reading.view == View::Records
                    || reading.last_opened_ns.is_some_and(|at| at > self.reset_ns);
                if let Some(first_frame) = heard.filter(|_| used) {
                    return Some(Recovery::OtherConnection { first_frame });
                }
                continue;
            }
            let opened = self.after(reading.opened_ns);
            let (_, opened) = *self.new.get_or_insert((reading.id, opened));
            if let Some(first_frame) = heard {
                return Some(Recovery::Recovered { opened, first_frame });
            }
        }
        let waited = self.after(snapshot.now_ns);
        (waited >= PATIENCE).then_some(match self.new {
            Some((_, opened)) => Recovery::StillSilent { opened },
            None => Recovery::NotReopened,
        })
    }

    /// The same process, the same peer, another socket.
    fn replaces(&self, other: &Connection) -> bool {
        let (old, new): (&_, &_) = (&self.connection.reading, &other.reading);
        let peer = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        new.owner.pid == old.owner.pid && peer(new.remote) == peer(old.remote) && new.id != old.id
    }

    fn after(&self, at_ns: Nanos) -> Duration {
        Duration::from_nanos(at_ns.saturating_sub(self.reset_ns))
    }
}
