//! Attached to a process that runs already, with connections that are open: in sync soon, nobody is called stalled, and
//! from then on what happens is counted exactly.

use crate::support::cgroup::{self, Cgroup};
use crate::support::compare::{counted, frames_of, number};
use crate::support::link::Link;
use crate::support::netns::Cable;
use crate::support::oracle::{self, Exchange};
use crate::support::programs::{Named, Program, role};
use crate::support::watch::Watch;
use crate::support::{now_ns, servers, take_turns, tools};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);
const IN_SYNC_WITHIN: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 4;

fn steady(link: &Link) -> Vec<String> {
    let mut arguments = ["2", "20000", "/bytes/20000"].map(str::to_owned).to_vec();
    arguments.extend((0..CONNECTIONS).map(|_| link.address.to_string()));
    role("steady", &arguments)
}

/// Starts the client, lets it run, attaches with `selector`, and compares what follows.
fn attach_to_a_running_client(
    link: &Link,
    prepare: impl FnOnce(&mut Command),
    selector: impl FnOnce(&Program) -> Vec<String>,
) {
    let mut client = Program::start_with(&steady(link), prepare);
    client.hear("CONNECTED");
    std::thread::sleep(Duration::from_secs(1));
    let mut options: Vec<String> = selector(&client);
    options.extend(["--interval".into(), "100ms".into()]);
    let watch = Watch::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    wait_until_in_sync(&watch);

    client.tell("pause");
    client.hear("PAUSED");
    let (before, counted_before) = (watch.fresh_snapshot(), counted(link));
    client.tell("burst 250");
    client.hear("BURST");
    let (after, counted_after) = (watch.fresh_snapshot(), counted(link));
    assert_exact_from_then_on(&by_address(&before), &by_address(&after), &counted_before, &counted_after);

    client.tell("resume");
    std::thread::sleep(Duration::from_secs(1));
    let ended = watch.stop();
    assert!(ended.of("stall").is_empty(), "false stall: {:#?}", ended.of("stall"));
    assert!(ended.of("loss").is_empty(), "losses: {:?}", ended.of("loss"));
}

fn wait_until_in_sync(watch: &Watch) {
    let ready_ns = now_ns();
    let in_sync = |line: &Value| in_sync(line, CONNECTIONS);
    let line = watch.wait_for(SOON, "snapshot with every connection in sync", in_sync);
    let after = Duration::from_nanos(line.at_ns.saturating_sub(ready_ns));
    println!("in sync {after:?} after `ready`");
    assert!(after <= IN_SYNC_WITHIN, "in sync after {after:?}");
}

/// True for a snapshot with so many connections, all of them in sync.
fn in_sync(line: &Value, connections: usize) -> bool {
    let list = line["connections"].as_array().filter(|list| list.len() == connections);
    list.is_some_and(|list| list.iter().all(|c| c["resyncing"] == false && number(c, "streams_opened") > 0))
}

fn by_address(snapshot: &Value) -> BTreeMap<String, &Value> {
    let list = snapshot["connections"].as_array().expect("a list");
    list.iter().map(|c| (c["local"].as_str().unwrap_or_default().to_owned(), c)).collect()
}

type Snapshots<'a> = BTreeMap<String, &'a Value>;

fn assert_exact_from_then_on(
    a: &Snapshots,
    b: &Snapshots,
    oracle_a: &[(String, Exchange)],
    oracle_b: &[(String, Exchange)],
) {
    assert_eq!(oracle_a.len(), CONNECTIONS);
    for ((client, then), (_, now)) in oracle_a.iter().zip(oracle_b) {
        let (first, last) = (a[client], b[client]);
        for (key, now, then) in [
            ("frames_sent", &now.sent.frames, &then.sent.frames),
            ("frames_received", &now.received.frames, &then.received.frames),
        ] {
            let watched = oracle::difference(&frames_of(last, key), &frames_of(first, key));
            assert_eq!(watched, oracle::difference(now, then), "{key} on {client}, {last}");
        }
        let streams = number(last, "streams_opened") - number(first, "streams_opened");
        assert_eq!(streams, now.sent.streams - then.sent.streams, "streams opened on {client}");
        assert_eq!(number(last, "streams_in_flight"), 0, "{last}");
        assert_eq!((&last["seeded"], &last["joined_late"]), (&true.into(), &true.into()), "{last}");
    }
}

#[test]
fn by_pid_to_a_running_client() {
    let _turn = take_turns();
    let cgroup = Cgroup::new("attach");
    let link = Link::to(servers::start());
    attach_to_a_running_client(
        &link,
        |c| cgroup.start_inside(c),
        |client| vec!["--pid".into(), client.pid().to_string()],
    );
}

#[test]
fn by_pid_to_a_client_over_ipv6() {
    let _turn = take_turns();
    let cgroup = Cgroup::new("attach6");
    let link = Link::to(servers::start_v6());
    attach_to_a_running_client(
        &link,
        |c| cgroup.start_inside(c),
        |client| vec!["--pid".into(), client.pid().to_string()],
    );
}

#[test]
fn by_pid_to_a_client_in_another_network_namespace() {
    let _turn = take_turns();
    let (cgroup, cable) = (Cgroup::new("netns"), Cable::new());
    let address = cable.server.v4;
    let bind = move |ip| TcpListener::bind(std::net::SocketAddr::new(ip, 0)).expect("a free port");
    let server = servers::start_on(cable.server.inside(move || bind([127, 0, 0, 1].into())));
    let listener = cable.server.inside(move || bind(address));
    let link = cable.server.inside(move || Link::between(listener, server));
    let prepare = |command: &mut Command| {
        cgroup.start_inside(command);
        cable.client.start_inside(command);
    };
    attach_to_a_running_client(&link, prepare, |client| vec!["--pid".into(), client.pid().to_string()]);
}

#[test]
fn by_cgroup_to_a_running_client() {
    let _turn = take_turns();
    let cgroup = Cgroup::new("bycgroup");
    let link = Link::to(servers::start());
    let selector = |_: &Program| vec!["--cgroup".into(), cgroup.path().to_string_lossy().into_owned()];
    attach_to_a_running_client(&link, |c| cgroup.start_inside(c), selector);
}

#[test]
fn by_name_to_a_running_client() {
    let _turn = take_turns();
    let cgroup = Cgroup::new("byname");
    let link = Link::to(servers::start());
    let named = Named::new();
    let _client = start_named(&named, &link, &cgroup);
    let watch = Watch::start(&["--comm", &named.name, "--interval", "100ms"]);
    wait_until_in_sync(&watch);
    let ended = watch.stop();
    assert_eq!(ended.connections().len(), CONNECTIONS);
}

/// A client of that name with connections that are open.
fn start_named(named: &Named, link: &Link, cgroup: &Cgroup) -> Program {
    let words = steady(link);
    // `env NAME=VALUE... PROGRAM` of the role.
    let this = words.iter().position(|word| word == "roles::play").expect("a role") - 1;
    let mut client = Program::start_with(&named.program(words, this), |c| cgroup.start_inside(c));
    client.hear("CONNECTED");
    client
}

/// A process in a cgroup around one that is watched already, and then one in another cgroup inside it: each segment is seen
/// once. One that is seen again counts as a retransmission, which a black hole is told by.
#[test]
fn by_name_in_cgroups_inside_one_another() {
    let _turn = take_turns();
    let outer = Cgroup::new("outer");
    let (inner, later) = (outer.inner("inner"), outer.inner("later"));
    let links = [(); 3].map(|()| Link::to(servers::start()));
    let named = Named::new();
    let mut clients = vec![start_named(&named, &links[0], &inner)];
    let watch = Watch::start(&["--comm", &named.name, "--interval", "100ms"]);
    wait_until_in_sync(&watch);
    assert_eq!(inner.attached_programs().len(), 5);
    for (n, cgroup) in [(1, &outer), (2, &later)] {
        clients.push(start_named(&named, &links[n], cgroup));
        watch.wait_for(SOON, "its connections", |line| in_sync(line, CONNECTIONS * (n + 1)));
    }
    let attached = [&outer, &inner, &later].map(|cgroup| cgroup.attached_programs().len());
    assert_eq!(attached, [5, 0, 0], "programs that are attached to the outer and the two inner ones");
    for client in &mut clients {
        client.tell("pause");
        client.hear("PAUSED");
    }
    let (before, counted_before) = (watch.fresh_snapshot(), links.each_ref().map(counted));
    for client in &mut clients {
        client.tell("burst 50");
        client.hear("BURST");
    }
    let (after, counted_after) = (watch.fresh_snapshot(), links.each_ref().map(counted));
    let (before, after) = (by_address(&before), by_address(&after));
    assert_eq!(after.len(), clients.len() * CONNECTIONS);
    for (then, now) in counted_before.iter().zip(&counted_after) {
        assert_exact_from_then_on(&before, &after, then, now);
    }
    for (address, connection) in after {
        for direction in ["retransmits_sent", "retransmits_received"] {
            // Looked at twice it would be 50 and more; on a busy machine the kernel itself may send one again.
            let repeated = number(connection, direction) - number(before[&address], direction);
            assert!(repeated <= 5, "{direction}: {repeated} more in 50 requests: {connection}");
        }
    }
}

/// As in a container: h2watch is in a cgroup namespace of its own, whose hierarchy is mounted where it is looked for, and the
/// host's is mounted elsewhere.
#[test]
fn from_a_cgroup_namespace_to_a_client_outside() {
    let _turn = take_turns();
    let (pod, cgroup) = (Cgroup::new("pod"), Cgroup::new("outside"));
    let container = pod.inner("container");
    let link = Link::to(servers::start());
    let named = Named::new();
    let client = start_named(&named, &link, &cgroup);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = format!(
        "mount --bind {mount} {host} && umount {mount} && mount -t cgroup2 none {mount} && exec \"$0\" \"$@\"",
        mount = cgroup::mount().display(),
        host = folder.path().display()
    );
    let inside = |words: &[&str]| {
        let mut command = Command::new(tools::program("unshare"));
        command.args(["--cgroup", "--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_h2watch")]);
        command.args(["--output", "json", "--interval", "100ms"]).args(words);
        container.start_inside(&mut command);
        Watch::spawn(command)
    };
    let below = format!("/{}", cgroup.path().file_name().expect("a name").to_string_lossy());
    let pid = client.pid().to_string();
    for selector in [["--pid", pid.as_str()], ["--comm", &named.name], ["--cgroup", &below]] {
        let watch = inside(&selector);
        watch.wait_until_ready();
        wait_until_in_sync(&watch);
        let ended = watch.stop();
        for connection in ended.connections().values() {
            assert_eq!(connection["cgroup"], below.as_str(), "{selector:?}: {connection}");
        }
        assert_eq!(ended.summary()["degradations"], Value::Array(Vec::new()), "{selector:?}");
    }
    let ended = inside(&["--", "sed", "-n", "s/^0::/CGROUP /p", "/proc/self/cgroup"]).end(SOON);
    assert!(ended.status.success() && ended.errors.contains("CGROUP /h2watch-"), "{}", ended.errors);
}

/// Two processes in one cgroup, one of them selected: the other one's connections are not watched.
#[test]
fn by_pid_only_the_selected_process_is_watched() {
    let _turn = take_turns();
    let cgroup = Cgroup::new("selected");
    let (link, other_link) = (Link::to(servers::start()), Link::to(servers::start()));
    let mut client = Program::start_with(&steady(&link), |c| cgroup.start_inside(c));
    let mut other = Program::start_with(&steady(&other_link), |c| cgroup.start_inside(c));
    client.hear("CONNECTED");
    other.hear("CONNECTED");
    let watch_all = |clients: &[&Program]| {
        let pids: Vec<String> = clients.iter().map(|client| client.pid().to_string()).collect();
        let mut options = vec!["--interval", "100ms"];
        options.extend(pids.iter().flat_map(|pid| ["--pid", pid.as_str()]));
        let watch = Watch::start(&options);
        watch.wait_for(SOON, "every connection in sync", |line| in_sync(line, clients.len() * CONNECTIONS));
        let mut seen: Vec<u64> = watch.stop().connections().values().map(|c| number(c, "pid")).collect();
        seen.sort_unstable();
        let mut selected: Vec<u64> = clients.iter().map(|client| u64::from(client.pid())).collect();
        selected.sort_unstable();
        let expected: Vec<u64> = selected.into_iter().flat_map(|pid| [pid; CONNECTIONS]).collect();
        assert_eq!(seen, expected);
    };
    watch_all(&[&client]);
    watch_all(&[&client, &other]);
}
