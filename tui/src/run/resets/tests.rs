//! The moment between the last look and the kernel's answer, with real sockets: what happened to the connection in it is
//! noticed by the cookie, harms nobody, and is a line of the audit file. Needs CAP_NET_ADMIN.

use super::*;
use crate::reset::policy::{Budget, Mode, Policy};
use crate::reset::tests::{Fake, at, stalled};
use crate::verdict::Cause;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// What the last look saw, and the real kernel.
struct Kernel {
    namespaces: crate::diag::Namespaces,
    looked: Connection,
}

impl World for Kernel {
    fn now_ns(&self) -> Nanos {
        clock::now_ns()
    }
    fn look_again(&mut self, _: Cookie) -> Option<Connection> {
        Some(self.looked.clone())
    }
    fn lost(&self, _: &Connection) -> Duration {
        Duration::ZERO
    }
    fn destroy(&mut self, connection: &Connection) -> Result<Outcome> {
        kill::destroy(&mut self.namespaces, connection)
    }
}

/// A connection from a port that can be taken again at once.
pub(super) fn connected(local: SocketAddr, to: &TcpListener) -> (TcpStream, TcpStream) {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    // No TIME_WAIT: it ends with RST.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
    bind(&socket, &local).unwrap();
    connect(&socket, &to.local_addr().unwrap()).unwrap();
    (TcpStream::from(socket), to.accept().unwrap().0)
}

/// The stalled connection that h2watch takes this socket for.
fn looked_at(client: &TcpStream) -> Connection {
    let id = sockopt::socket_cookie(client).unwrap();
    let mut connection = stalled(1, std::process::id(), Cause::SilentPeer);
    connection.reading.id = id;
    connection.reading.local = client.local_addr().unwrap();
    connection.reading.remote = client.peer_addr().unwrap();
    connection
}

/// Decides about the connection as it was looked at; the audit line of the decision.
fn decided(looked: Connection) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let policy = Policy { mode: Mode::Auto, ..Policy::default() };
    let mut resets = Resets { resetter: Resetter::new(policy), audit: Some(AuditLog::open(&path).unwrap()) };
    let now_ns = clock::now_ns().max(looked.reading.opened_ns + 60_000_000_000);
    let snapshot = Snapshot { now_ns, connections: vec![looked.clone()], ..Snapshot::default() };
    let mut kernel = Kernel { namespaces: crate::diag::Namespaces::default(), looked };
    for report in resets.resetter.tick(&snapshot, Duration::ZERO, &mut kernel) {
        resets.note(&snapshot, &report).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert_eq!(written.lines().count(), 1, "{written}");
    serde_json::from_str(&written).unwrap()
}

pub(super) fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("not run: needs root");
    }
    root
}

#[test]
fn a_cookie_that_was_reused_spares_the_new_socket() {
    if !root() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (old, accepted) = connected("127.0.0.1:0".parse().unwrap(), &listener);
    let looked = looked_at(&old);
    let local = old.local_addr().unwrap();
    drop((old, accepted));
    let (mut new, mut accepted) = connected(local, &listener);
    let line = decided(looked);
    assert_eq!((&line["mode"], &line["result"]), (&"auto".into(), &"refused".into()), "{line}");
    assert!(line["reason"].as_str().is_some_and(|reason| reason.contains("another socket")), "{line}");
    new.write_all(b"alive").unwrap();
    let mut heard = [0; 5];
    accepted.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"alive");
}

#[test]
fn a_connection_that_no_longer_exists_is_told_as_gone() {
    if !root() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, accepted) = connected("127.0.0.1:0".parse().unwrap(), &listener);
    let looked = looked_at(&client);
    drop((client, accepted));
    let line = decided(looked);
    assert_eq!((&line["mode"], &line["result"]), (&"auto".into(), &"refused".into()), "{line}");
    assert!(line["reason"].as_str().is_some_and(|reason| reason.contains("closed meanwhile")), "{line}");
}

#[test]
fn one_that_is_still_there_is_reset() {
    if !root() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut client, _accepted) = connected("127.0.0.1:0".parse().unwrap(), &listener);
    let line = decided(looked_at(&client));
    assert_eq!(line["result"], "done", "{line}");
    let error = client.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
}

/// Results and reasons of the audit lines of looks at these connections, one after the other.
fn audited(
    policy: &Policy,
    looks: &[&[Connection]],
    late: Duration,
    answer: fn() -> Result<Outcome>,
) -> Vec<[String; 2]> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Some(AuditLog::open(&path).unwrap());
    let mut resets = Resets { resetter: Resetter::new(policy.clone()), audit };
    for (snapshot, ms) in looks.iter().zip(6_000..).map(|(look, ms)| (at(ms, look), ms)) {
        let late = if ms == 6_000 { late } else { Duration::ZERO };
        let mut world = Fake::of(&snapshot);
        world.answer = answer;
        for report in resets.resetter.tick(&snapshot, late, &mut world) {
            resets.note(&snapshot, &report).unwrap();
        }
    }
    let written = std::fs::read_to_string(path).unwrap();
    let lines = written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| ["result", "reason"].map(|key| line[key].as_str().unwrap().to_owned())).collect()
}

#[test]
fn every_decision_is_an_audit_line_with_its_reason() {
    let auto = Policy { mode: Mode::Auto, ..Policy::default() };
    let total = Policy { budget_total: Budget::per_minute(1), ..auto.clone() };
    let dead = [stalled(1, 7, Cause::SilentPeer), stalled(2, 8, Cause::SilentPeer)];
    let (one, hung) = (&dead[..1], [stalled(1, 7, Cause::HungServer)]);
    let done: fn() -> Result<Outcome> = || Ok(Outcome::Destroyed);
    let no_right: fn() -> Result<Outcome> = || anyhow::bail!("SOCK_DESTROY needs CAP_NET_ADMIN");
    let late = Duration::from_millis(700);
    type Told<'a> = &'a [(&'a str, &'a str)];
    let cases: [(_, &[&[Connection]], _, _, Told<'_>); 4] = [
        (&auto, &[&hung], Duration::ZERO, done, &[("refused", "not among the causes")]),
        (
            &total,
            &[&dead],
            Duration::ZERO,
            done,
            &[("done", "3 streams"), ("refused", "budget of all processes")],
        ),
        (&auto, &[one], late, done, &[("refused", "this machine stood still")]),
        (
            &auto,
            &[one, one],
            Duration::ZERO,
            no_right,
            &[("failed", "CAP_NET_ADMIN"), ("refused", "it failed before")],
        ),
    ];
    for (policy, looks, late, answer, wanted) in cases {
        let told = audited(policy, looks, late, answer);
        assert_eq!(told.len(), wanted.len(), "{told:?}");
        for ([result, reason], (as_result, with_words)) in told.iter().zip(wanted) {
            assert!(result == as_result && reason.contains(with_words), "{wanted:?}: {told:?}");
        }
    }
}
