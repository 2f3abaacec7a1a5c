//! The faults: what is set up, what strikes, and the cause that must be said. One row each.

use super::clients::{BY_HAND, Client, Front, POOLS};
use super::peer::{Misdeed, Peer};
use crate::support::link::Link;
use crate::support::netns::Cable;
use crate::support::programs;
use crate::support::servers;
use crate::support::watch::signal_process;
use rustix::process::Signal;
use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// A kind of fault.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) clients: &'static [Client],
    pub(crate) set_up: fn(Client) -> World,
    /// What the sentence must contain, all of one of them: numbers that are there, and which direction has evidence.
    pub(crate) says: &'static [&'static [&'static str]],
    /// How soon after the strike the cause must be known.
    pub(crate) within: Duration,
}

/// Client and server of one run, healthy until the strike.
pub(crate) struct World {
    /// The address that the client connects to.
    pub(crate) remote: SocketAddr,
    /// The client's command line.
    pub(crate) client: Vec<String>,
    /// Carries out the fault.
    pub(crate) strike: Strike,
    /// The client itself is at fault: it is told this instead.
    pub(crate) told: Option<&'static str>,
    /// Streams that must have been answered before the strike.
    pub(crate) warm: u64,
    /// What the world consists of; it ends with this.
    pub(crate) parts: Vec<Box<dyn Any + Send>>,
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `docs/verdicts-math.md`: 2 s or three RTOs (1.4 s here) after the first stream that waits. Between two requests are 100 ms, and
/// a machine that plays eight faults at a time gets 900 ms.
const DEAD: Duration = Duration::from_millis(2_000 + 100 + 900);

/// Nobody can tell from here which way is dead, and the sentence does not claim to.
const DEAD_PATH: &[&str] =
    &["not acknowledged", "nothing arrived for", "the path is dead in at least one direction"];
/// The peer is still there to be heard.
const OURS_LOST: &[&str] =
    &["not acknowledged", "segments of the peer still arrive", "what this host sends is lost"];

pub(crate) const FAULTS: [Fault; 12] = [
    Fault {
        name: "drop both ways",
        says: &[DEAD_PATH],
        cause: "black_hole",
        clients: POOLS,
        set_up: |client| dropping(client, BOTH),
        within: DEAD,
    },
    Fault {
        name: "drop what the peer sends",
        says: &[DEAD_PATH],
        cause: "black_hole",
        clients: POOLS,
        set_up: |client| dropping(client, LEAVING),
        within: DEAD,
    },
    Fault {
        name: "drop what we send",
        // Where the acknowledgement of its last answer was the first segment that was lost, the peer sends that again.
        says: &[DEAD_PATH, OURS_LOST],
        cause: "black_hole",
        clients: POOLS,
        set_up: |client| dropping(client, ARRIVING),
        within: DEAD,
    },
    Fault {
        name: "drop what we send, the peer goes on sending",
        says: &[OURS_LOST],
        cause: "black_hole",
        clients: POOLS,
        set_up: dropping_ours,
        within: DEAD,
    },
    Fault {
        name: "server stopped",
        says: &[&["peer ACKed"]],
        cause: "silent_peer",
        clients: POOLS,
        set_up: stopped,
        within: seconds(5),
    },
    Fault {
        name: "proxy forwards nothing",
        says: &[&["peer ACKed"]],
        cause: "silent_peer",
        clients: POOLS,
        set_up: unplugged,
        within: seconds(5),
    },
    Fault {
        name: "server answers only PING",
        says: &[&["PING was answered"]],
        cause: "hung_server",
        clients: POOLS,
        set_up: hung,
        within: seconds(40),
    },
    Fault {
        name: "server stops reading an upload",
        says: &[&["receive window is closed"]],
        cause: "peer_window_closed",
        clients: POOLS,
        set_up: deaf,
        within: seconds(15),
    },
    Fault {
        name: "no WINDOW_UPDATE for the connection",
        says: &[&["the connection's flow-control window is used up"]],
        cause: "flow_control",
        clients: POOLS,
        set_up: |client| miserly(client, Misdeed::GrantsNothing),
        within: seconds(15),
    },
    Fault {
        name: "no WINDOW_UPDATE for streams",
        says: &[&["the stream window of 65535 bytes is used up"]],
        cause: "flow_control",
        clients: POOLS,
        set_up: |client| miserly(client, Misdeed::GrantsNoStream),
        within: seconds(15),
    },
    Fault {
        name: "GOAWAY ignored",
        says: &[&[", ENHANCE_YOUR_CALM (0xb))"]],
        cause: "goaway_ignored",
        clients: BY_HAND,
        set_up: goaway,
        within: seconds(5),
    },
    Fault {
        name: "client stops reading",
        says: &[&["wait in this host's receive queue"]],
        cause: "reader_blocked",
        clients: BY_HAND,
        set_up: deaf_client,
        within: seconds(15),
    },
];

const ARRIVING: &[&str] = &["input"];
const LEAVING: &[&str] = &["output"];
const BOTH: &[&str] = &["input", "output"];

/// A link between two network namespaces; the hooks lose TCP segments at the server's end.
fn dropping(client: Client, hooks: &'static [&'static str]) -> World {
    cut(client, hooks, servers::start_on)
}

fn dropping_ours(client: Client) -> World {
    cut(client, ARRIVING, |listener| Peer::start_on(listener, Misdeed::SendsPings).address)
}

fn cut(client: Client, hooks: &'static [&'static str], serve: fn(TcpListener) -> SocketAddr) -> World {
    let Cut { cable, remote, client, strike, front } = cable(client, hooks, serve);
    World { strike, ..World::healthy(remote, client).with(front).with(cable) }
}

type Strike = Box<dyn FnOnce() + Send>;

/// A cable with a server at its end, and what cuts it.
pub(super) struct Cut {
    pub(super) cable: Arc<Cable>,
    pub(super) remote: SocketAddr,
    pub(super) client: Vec<String>,
    pub(super) strike: Strike,
    front: Front,
}

pub(super) fn cut_both_ways() -> Cut {
    cable(Client::H2, BOTH, servers::start_on)
}

fn cable(client: Client, hooks: &'static [&'static str], serve: fn(TcpListener) -> SocketAddr) -> Cut {
    let cable = Arc::new(Cable::new());
    let address = cable.server.v4;
    let server = serve(cable.server.inside(move || TcpListener::bind((address, 0)).expect("a free port")));
    let front = Front::of(client, server, cable.server.enter());
    let client = [cable.client.enter(), client.calls(front.address, 0, 0)].concat();
    let there = Arc::clone(&cable);
    let strike = move || {
        let chain = |hook: &&str| {
            // Between the server and the TLS in front of it nothing is lost.
            let wire = if *hook == "input" { "iif" } else { "oif" };
            format!(
                "chain {hook}s {{ type filter hook {hook} priority 0; meta l4proto tcp {wire} != lo drop; }}\n"
            )
        };
        there.server.nft(&format!("table inet dead {{ {} }}", hooks.iter().map(chain).collect::<String>()));
    };
    Cut { cable, remote: front.address, client, strike: Box::new(strike), front }
}

fn stopped(client: Client) -> World {
    let (server, address) = programs::server();
    let front = Front::of(client, address, Vec::new());
    let pid = front.program.as_ref().unwrap_or(&server).pid();
    let strike = move || signal_process(pid, Signal::STOP);
    let words = client.calls(front.address, 0, 0);
    World { strike: Box::new(strike), ..World::healthy(front.address, words).with(front).with(server) }
}

/// With keepalive: the last PING that is answered may be answered just before.
fn unplugged(client: Client) -> World {
    let front = Front::of(client, servers::start(), Vec::new());
    let link = Link::to(front.address);
    let (remote, words) = (link.address, client.calls(link.address, 0, 500));
    World { strike: Box::new(move || link.unplug()), ..World::healthy(remote, words).with(front) }
}

fn hung(client: Client) -> World {
    misbehaving(client, Misdeed::AnswersNoStream, 0, 500)
}

fn deaf(client: Client) -> World {
    misbehaving(client, Misdeed::StopsReading, 1 << 20, 0)
}

/// The windows are used up by the first uploads.
fn miserly(client: Client, misdeed: Misdeed) -> World {
    World { warm: 0, ..misbehaving(client, misdeed, 200_000, 0) }
}

fn misbehaving(client: Client, misdeed: Misdeed, upload_bytes: u64, ping_ms: u64) -> World {
    let peer = Peer::start(misdeed);
    let front = Front::of(client, peer.address, Vec::new());
    let words = client.calls(front.address, upload_bytes, ping_ms);
    World { strike: Box::new(move || peer.strike()), ..World::healthy(front.address, words).with(front) }
}

fn goaway(client: Client) -> World {
    by_hand(client, Misdeed::GoesAway)
}

fn deaf_client(client: Client) -> World {
    World { told: Some("read no more"), ..by_hand(client, Misdeed::Nothing) }
}

fn by_hand(client: Client, misdeed: Misdeed) -> World {
    let peer = Peer::start(misdeed);
    let front = Front::of(client, peer.address, Vec::new());
    let words = client.goes_on(front.address);
    World { strike: Box::new(move || peer.strike()), ..World::healthy(front.address, words).with(front) }
}

impl World {
    fn with(mut self, part: impl Any + Send) -> Self {
        self.parts.push(Box::new(part));
        self
    }

    fn healthy(remote: SocketAddr, client: Vec<String>) -> Self {
        Self { remote, client, strike: Box::new(|| {}), told: None, warm: 10, parts: Vec::new() }
    }
}
