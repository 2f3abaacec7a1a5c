//! sock_diag with real sockets, on loopback and in network namespaces that the tests make.

use super::*;
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

/// Making a namespace and SOCK_DESTROY need root; listing does not.
fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("not run: needs root");
    }
    root
}

fn diag() -> Diag {
    Netns::own().unwrap().open().unwrap()
}

fn cookie(stream: &TcpStream) -> Cookie {
    sockopt::socket_cookie(stream).unwrap()
}

/// A connection, its two ends and the listener.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    _listener: TcpListener,
}

impl Pair {
    fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self { client, server, _listener: listener }
    }

    /// With a client that is bound to a device.
    fn bound_to(device: &std::ffi::CStr, address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let (name, length) = (device.as_ptr().cast(), device.count_bytes().try_into().unwrap());
        // SAFETY: the name has the length that is given.
        let result = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name, length)
        };
        assert_eq!(result, 0, "SO_BINDTODEVICE");
        rustix::net::connect(&socket, &listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self { client: socket.into(), server, _listener: listener }
    }

    fn tuple(&self) -> (SocketAddr, SocketAddr) {
        (self.client.local_addr().unwrap(), self.client.peer_addr().unwrap())
    }

    /// As the probe sees it: without the device of link-local addresses.
    fn tuple_on_the_wire(&self) -> (SocketAddr, SocketAddr) {
        let bare = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
        let (local, remote) = self.tuple();
        (bare(local), bare(remote))
    }
}

/// A process that is ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace with its loopback up, held by a process.
fn namespace() -> Process {
    let mut child = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let process = Process(child);
    assert_eq!(line, "up\n");
    process
}

/// A process inside the namespace of `holder` that has the socket open as its stdin.
fn process_with(holder: &Process, socket: &TcpStream) -> Process {
    let mut child = Command::new("nsenter")
        .arg(format!("--net=/proc/{}/ns/net", holder.0.id()))
        .args(["sh", "-c", "echo in && exec sleep 600"])
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "in\n");
    Process(child)
}

#[test]
fn facts_and_queues_of_ipv4_and_ipv6() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut pair = Pair::on(address);
        pair.server.write_all(b"not read yet").unwrap();
        let (local, remote) = pair.tuple();
        let mut diag = diag();
        let facts = diag.facts(cookie(&pair.client), local, remote).unwrap().unwrap();
        assert_eq!((facts.state, facts.receive_queue, facts.send_queue), (state::ESTABLISHED, 12, 0));
        assert!(facts.rto_us >= 1_000 && facts.snd_wnd > 0, "{facts:?}");
        assert_eq!(diag.facts(cookie(&pair.client) + 1, local, remote).unwrap(), None, "wrong cookie");
        let mut buffer = [0; 12];
        pair.client.read_exact(&mut buffer).unwrap();
        assert_eq!(diag.facts(cookie(&pair.client), local, remote).unwrap().unwrap().receive_queue, 0);
    }
}

#[test]
fn a_v6_socket_that_carries_ipv4_is_found_by_both_spellings() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = rustix::net::socket(AddressFamily::INET6, SocketType::STREAM, None).unwrap();
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{port}").parse().unwrap();
    rustix::net::connect(&socket, &mapped).unwrap();
    let client = TcpStream::from(socket);
    let local = client.local_addr().unwrap();
    let plain = SocketAddr::new(local.ip().to_canonical(), local.port());
    let remote = SocketAddr::from(([127, 0, 0, 1], port));
    let mut diag = diag();
    assert!(diag.facts(cookie(&client), local, mapped).unwrap().is_some());
    assert!(diag.facts(cookie(&client), plain, remote).unwrap().is_some());
    let sockets = diag.dump(&Family::BOTH).unwrap();
    let found = sockets.iter().find(|s| s.cookie == cookie(&client)).unwrap();
    assert_eq!((found.family, found.local, found.remote), (Family::Inet6, plain, remote));
    if root() {
        assert_eq!(diag.destroy(cookie(&client), plain, remote).unwrap(), Outcome::Destroyed);
    }
}

#[test]
fn destroy_aborts_exactly_the_socket_with_the_cookie() {
    if !root() {
        return;
    }
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut pair = Pair::on(address);
        let (local, remote) = pair.tuple();
        let mut diag = diag();
        let id = cookie(&pair.client);
        assert_eq!(diag.destroy(id + 1, local, remote).unwrap(), Outcome::Reused { found: id });
        pair.client.write_all(b"still open").unwrap();
        assert_eq!(diag.destroy(id, local, remote).unwrap(), Outcome::Destroyed);
        assert_eq!(pair.client.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
        let mut rest = Vec::new();
        assert_eq!(
            pair.server.read_to_end(&mut rest).unwrap_err().kind(),
            std::io::ErrorKind::ConnectionReset
        );
        assert_eq!(diag.destroy(id, local, remote).unwrap(), Outcome::Gone);
        assert_eq!(diag.facts(id, local, remote).unwrap(), None);
    }
}

#[test]
fn no_cookie_is_refused() {
    let pair = Pair::on("127.0.0.1:0");
    let (local, remote) = pair.tuple();
    for nothing in [0, wire::NO_COOKIE] {
        assert!(diag().destroy(nothing, local, remote).is_err());
    }
    assert!(diag().facts(cookie(&pair.client), local, remote).unwrap().is_some());
}

#[test]
fn without_the_capability_the_error_names_it() {
    if !root() {
        return;
    }
    let pair = Pair::on("127.0.0.1:0");
    let (local, remote) = pair.tuple();
    let mut diag = diag();
    // Of this thread only; the test harness starts a new one for each test.
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::NET_ADMIN);
    set_capabilities(None, sets).unwrap();
    let error = diag.destroy(cookie(&pair.client), local, remote).unwrap_err().to_string();
    assert!(error.contains("CAP_NET_ADMIN") && error.contains(&remote.to_string()), "{error}");
    let error = format!("{:#}", Netns::own().unwrap().check_destroy().unwrap_err());
    assert!(error.contains("CAP_NET_ADMIN"), "{error}");
    assert!(diag.facts(cookie(&pair.client), local, remote).unwrap().is_some(), "it must still be open");
}

#[test]
fn check_destroy_says_yes_to_root() {
    if root() {
        Netns::own().unwrap().check_destroy().unwrap();
    }
}

#[test]
fn a_connection_of_another_namespace_is_found_only_there() {
    if !root() {
        return;
    }
    let holder = namespace();
    let netns = Netns::of_pid(holder.0.id()).unwrap();
    assert_ne!(netns.id(), Netns::own().unwrap().id());
    let pair = netns.within(|| Ok(Pair::on("127.0.0.1:0"))).unwrap();
    let (local, remote) = pair.tuple();
    assert_eq!(diag().facts(cookie(&pair.client), local, remote).unwrap(), None);
    assert_eq!(diag().destroy(cookie(&pair.client), local, remote).unwrap(), Outcome::Gone);
    let mut there = netns.open().unwrap();
    assert!(there.facts(cookie(&pair.client), local, remote).unwrap().is_some());
    assert_eq!(there.destroy(cookie(&pair.client), local, remote).unwrap(), Outcome::Destroyed);
}

/// The kernel finds a socket that is bound to a device only with the number of that device.
#[test]
fn connections_that_are_bound_to_a_device_are_found_and_reset() {
    if !root() {
        return;
    }
    let holder = namespace();
    let script = "ip link add v0 type veth peer name v1 && ip address add fe80::97/64 dev v0 nodad && \
                  ip link set v0 up && ip link set v1 up && exec cat /sys/class/net/v0/ifindex";
    let output = Command::new("nsenter")
        .arg(format!("--net=/proc/{}/ns/net", holder.0.id()))
        // sysfs shows the devices of the namespace that it was mounted in.
        .args(["unshare", "--mount", "sh", "-c", &format!("mount -t sysfs none /sys && {script}")])
        .output()
        .unwrap();
    let link_local = format!("[fe80::97%{}]:0", String::from_utf8(output.stdout).unwrap().trim());
    let netns = Netns::of_pid(holder.0.id()).unwrap();
    let pairs = || Ok([Pair::on(&link_local), Pair::bound_to(c"lo", "127.0.0.1:0")]);
    let mut diag = netns.open().unwrap();
    for mut pair in netns.within(pairs).unwrap() {
        let (local, remote) = pair.tuple_on_the_wire();
        let id = cookie(&pair.client);
        let seeded = diag.dump(&Family::BOTH).unwrap().into_iter().find(|s| s.cookie == id).unwrap();
        assert!(diag.again(&seeded).unwrap().is_some(), "{seeded:?}");
        // A search with another cookie must not stand in the way of the right one for long.
        assert_eq!(diag.facts(id + 1, local, remote).unwrap(), None, "wrong cookie");
        wait_until(|| diag.facts(id, local, remote).unwrap().is_some());
        pair.server.write_all(b"not read yet").unwrap();
        let facts = diag.facts(id, local, remote).unwrap().expect("once found, it is found at once");
        assert_eq!((facts.state, facts.receive_queue), (state::ESTABLISHED, 12));
        // One that knows nothing yet.
        let mut diag = netns.open().unwrap();
        assert_eq!(diag.destroy(id + 1, local, remote).unwrap(), Outcome::Gone, "wrong cookie");
        assert_eq!(diag.destroy(id, local, remote).unwrap(), Outcome::Destroyed);
        let error = pair.client.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
        assert_eq!(diag.destroy(id, local, remote).unwrap(), Outcome::Gone);
        assert_eq!(diag.facts(id, local, remote).unwrap(), None);
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "not within 10 s");
        std::thread::yield_now();
    }
}

#[test]
fn tcp_retries2_is_read_in_the_namespace() {
    if !root() {
        return;
    }
    let holder = namespace();
    let set = Command::new("nsenter")
        .arg(format!("--net=/proc/{}/ns/net", holder.0.id()))
        .args(["sh", "-c", "echo 3 > /proc/sys/net/ipv4/tcp_retries2"])
        .status();
    assert!(set.unwrap().success());
    let mut namespaces = Namespaces::default();
    assert_eq!(namespaces.tcp_retries2(holder.0.id()).unwrap(), 3);
    assert_ne!(namespaces.tcp_retries2(std::process::id()).unwrap(), 3);
}

#[test]
fn open_clients_are_joined_with_every_process_that_holds_them() {
    if !root() {
        return;
    }
    let holder = namespace();
    let netns = Netns::of_pid(holder.0.id()).unwrap();
    let pairs = netns.within(|| Ok(["0.0.0.0:0", "127.0.0.1:0", "[::]:0", "[::1]:0"].map(Pair::on))).unwrap();
    let mut processes = Vec::new();
    for pair in &pairs {
        processes.push(process_with(&holder, &pair.client));
        // An accepted socket in a watched process is not a client connection.
        processes.push(process_with(&holder, &pair.server));
    }
    processes.push(process_with(&holder, &pairs[0].client));
    let pids: Vec<u32> = processes.iter().map(|process| process.0.id()).collect();
    let (clients, errors) = open_clients(&mut Namespaces::default(), &pids);
    assert!(errors.is_empty(), "{errors:?}");
    let mut expected: Vec<(Cookie, Vec<u32>)> =
        pairs.iter().zip(pids.chunks(2)).map(|(pair, pids)| (cookie(&pair.client), vec![pids[0]])).collect();
    expected[0].1.push(pids[8]);
    expected.sort();
    let found: Vec<_> = clients.iter().map(|c| (c.socket.cookie, c.pids.clone())).collect();
    assert_eq!(found, expected);
    assert!(clients.iter().all(|c| c.socket.info.is_none()));
}

#[test]
fn a_process_that_is_gone_is_an_error_beside_the_others() {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let (_, errors) = open_clients(&mut Namespaces::default(), &[child.id(), std::process::id()]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains(&child.id().to_string()), "{:?}", errors[0]);
}

#[test]
fn namespaces_let_go_of_those_nobody_is_in() {
    if !root() {
        return;
    }
    let holder = namespace();
    let mut namespaces = Namespaces::default();
    namespaces.of_pid(holder.0.id()).unwrap();
    namespaces.of_pid(std::process::id()).unwrap();
    assert_eq!(namespaces.len(), 2);
    namespaces.retain([std::process::id()]);
    assert_eq!(namespaces.len(), 1);
}

#[test]
fn a_dump_of_many_sockets_is_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ends: Vec<_> =
        (0..500).map(|_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap().0)).collect();
    let found: std::collections::BTreeSet<Cookie> =
        diag().dump(&Family::BOTH).unwrap().iter().map(|socket| socket.cookie).collect();
    assert!(
        ends.iter()
            .all(|(client, server)| found.contains(&cookie(client)) && found.contains(&cookie(server)))
    );
}
