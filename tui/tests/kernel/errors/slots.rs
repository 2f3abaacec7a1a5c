//! The places of the connection table, with the loader itself and a connection that is not HTTP/2.

use crate::support::cgroup::Cgroup;
use crate::support::programs::{Program, installed};
use crate::support::{tools, wait_until};
use h2watch::diag::{Family, Socket};
use h2watch::probe::{Notice, Object, Probe, Scope, Seeded, Setup};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn load(max_connections: u32) -> Probe {
    tools::require_root();
    let setup = Setup {
        max_connections,
        scope: Scope::Cgroup,
        ring_after: Duration::from_secs(3),
        ring_min_streams: 2,
        tls: false,
    };
    Probe::load(&Object::find().expect("the committed object"), &setup).expect("the kernel takes it")
}

/// A connection as sock_diag would tell it.
fn socket(cookie: u64) -> Socket {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    Socket {
        cookie,
        inode: 1,
        family: Family::Inet,
        state: 1,
        local: address,
        remote: address,
        interface: 0,
        uid: 0,
        receive_queue: 0,
        send_queue: 0,
        timer: 0,
        timer_expires_ms: 0,
        retransmits: 0,
        cgroup_id: None,
        info: None,
    }
}

fn taken(probe: &mut Probe, cookie: u64) -> u32 {
    match probe.seed(&socket(cookie), 1, 1) {
        Seeded::Taken(slot) => slot,
        other => panic!("{other:?}"),
    }
}

/// What is not HTTP/2 is found by a look or told by an event, or both: in either order its place is given back once, and never
/// that of the connection that has it meanwhile.
#[test]
fn a_place_is_given_back_once() {
    let cgroup = Cgroup::new("slots");
    let mut probe = load(2);
    probe.attach(cgroup.path()).expect("a cgroup of our own");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo 'GET / HTTP/1.1' >&3; cat <&3 2>/dev/null");
    let _client = Program::start_with(&installed("bash", &["-c", &script]), |c| cgroup.start_inside(c));
    let mut server = listener.accept().expect("the client connects").0;
    server.read_exact(&mut [0; 14]).expect("a request");
    let (slot, cookie) =
        wait_until(SOON, "the kernel tells that it is not HTTP/2", || next_foreign(&mut probe));
    assert_eq!(probe.used().collect::<Vec<_>>(), [(slot, cookie)]);

    // A look finds it before the event is read; a new connection gets the place; then comes the event.
    probe.free(slot, cookie);
    assert_eq!(taken(&mut probe, 7), slot, "the place that was given back last is the next");
    probe.free(slot, cookie);
    assert_eq!(probe.used().collect::<Vec<_>>(), [(slot, 7)], "the connection that has it now");
    // Twice, and no new connection between.
    probe.free(slot, 7);
    probe.free(slot, 7);
    assert_ne!(taken(&mut probe, 8), taken(&mut probe, 9), "two connections have the same place");
    assert_eq!(probe.seed(&socket(9), 1, 1), Seeded::Known);
    assert_eq!(probe.seed(&socket(10), 1, 1), Seeded::NoPlace);
    assert!(!probe.has_place());
}

/// The next notice of a connection that is not HTTP/2, of those that are there.
fn next_foreign(probe: &mut Probe) -> Option<(u32, u64)> {
    std::iter::from_fn(|| probe.next_notice()).find_map(|notice| match notice {
        Notice::Foreign(slot, cookie) => Some((slot, cookie)),
        _ => None,
    })
}
