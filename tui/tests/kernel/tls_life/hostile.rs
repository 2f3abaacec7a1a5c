//! Processes that make attaching hard: a program that is replaced while it runs, damaged programs, processes that end while
//! they are being probed, a hundred at once. A reason in the coverage, never a probe at a guessed address, never a crash.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::clients::{INTERVAL_MS, Server, connections_to, go_program, python, start_in};
use super::running::{assert_in_sync, wait_until_bound};
use crate::support::cgroup::Cgroup;
use crate::support::compare::number;
use crate::support::programs::Program;
use crate::support::tools::GO;
use crate::support::watch::{Ended, Watch, text};
use crate::support::{take_turns, wait_until};

const SOON: Duration = Duration::from_secs(30);

fn watch_cgroup(cgroup: &Cgroup) -> Watch {
    let path = cgroup.path().to_str().expect("ASCII");
    Watch::start(&["--tls", "frames", "--interval", "100ms", "--cgroup", path])
}

fn steady(program: &Path, server: &Server) -> Vec<String> {
    let url = format!("https://{}/bytes/100", server.address);
    [program.to_str().expect("UTF-8"), "steady", &url, INTERVAL_MS].map(str::to_owned).to_vec()
}

fn process(snapshot: &Value, pid: u32) -> Option<Value> {
    let all = snapshot["processes"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|process| process["pid"] == pid)
}

/// The program's file is written anew at the same path while it runs: what runs is probed, not what lies there.
#[test]
fn a_program_that_is_replaced_while_it_runs_is_probed_as_it_runs() {
    let _turn = take_turns();
    let (server, cgroup, folder) =
        (Server::start(), Cgroup::new("tls-replaced"), tempfile::tempdir().unwrap());
    let path = folder.path().join("client");
    std::fs::copy(go_program(GO), &path).unwrap();
    let client = start_in(&cgroup, &steady(&path, &server));
    wait_until(SOON, "the client is busy", || (!server.counts().is_empty()).then_some(()));
    // As a package manager does it: another file, moved into its place. Another Go program, with other addresses.
    let new = folder.path().join("new");
    std::fs::copy(go_program(crate::support::tools::OLD_GO), &new).unwrap();
    std::fs::rename(&new, &path).unwrap();
    let watch = watch_cgroup(&cgroup);
    wait_until_bound(&watch, server.address, "frames", SOON);
    let covered = process(&watch.fresh_snapshot(), client.pid()).expect("a coverage");
    assert!(text(&covered["reason"]).contains(GO), "{covered}");
    assert_in_sync(&watch, &server, client.pid(), "replaced");
}

/// The same while it is probed: it is looked at again, because its file is another name's now, and no place is probed twice.
#[test]
fn a_program_that_is_replaced_under_its_probes_is_counted_once() {
    let _turn = take_turns();
    let (server, cgroup, folder) =
        (Server::start(), Cgroup::new("tls-replaced"), tempfile::tempdir().unwrap());
    let path = folder.path().join("client");
    std::fs::copy(go_program(GO), &path).unwrap();
    let watch = watch_cgroup(&cgroup);
    let client = start_in(&cgroup, &steady(&path, &server));
    wait_until_bound(&watch, server.address, "frames", SOON);
    std::fs::remove_file(&path).unwrap();
    watch.wait_after(0, SOON, "snapshot with the deleted program", |line| {
        process(line, client.pid()).is_some_and(|covered| text(&covered["reason"]).contains("(deleted)"))
    });
    assert_in_sync(&watch, &server, client.pid(), "replaced under its probes");
    // One HEADERS frame opens a stream, and a client of GETs sends no other.
    let snapshot = watch.fresh_snapshot();
    let connections = connections_to(&snapshot, server.address);
    let connection = connections.first().expect("the connection is open");
    assert_eq!(
        number(&connection["frames_sent"], "headers"),
        number(connection, "streams_opened"),
        "{connection}"
    );
}

/// Copies of a real Go program, each damaged in another way. All run; none may be probed where that is not proven.
fn damaged(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    use object::{Object as _, ObjectSection as _, ObjectSegment as _};
    let good = std::fs::read(go_program(GO)).unwrap();
    let number = |at: usize, bytes: usize| {
        good[at..at + bytes].iter().rev().fold(0usize, |number, &byte| number << 8 | usize::from(byte))
    };
    // e_shoff, e_shentsize and e_shnum of the ELF header.
    let headers = number(0x28, 8)..number(0x28, 8) + number(0x3a, 2) * number(0x3c, 2);
    let file = object::File::parse(&*good).unwrap();
    let table = usize::try_from(file.section_by_name(".gopclntab").unwrap().file_range().unwrap().0).unwrap();
    let end = file.segments().map(|segment| segment.file_range()).map(|(at, size)| at + size).max().unwrap();
    let write = |name: &'static str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (name, path)
    };
    // Nothing that the kernel looks at: section headers, and what is behind the segments, are for tools.
    let mut no_sections = good.clone();
    no_sections[headers].fill(0xff);
    let cut_off = good[..usize::try_from(end).unwrap()].to_vec();
    // The table's own header: the runtime of Go checks it at its start, so this one ends at once.
    let mut no_table = good.clone();
    no_table[table..table + 16].fill(0xff);
    vec![write("no-sections", &no_sections), write("cut-off", &cut_off), write("no-table", &no_table)]
}

#[test]
fn damaged_programs_get_a_reason_and_no_guess() {
    let _turn = take_turns();
    let folder = tempfile::tempdir().unwrap();
    for (name, path) in damaged(folder.path()) {
        let (server, cgroup) = (Server::start(), Cgroup::new("tls-damaged"));
        let watch = watch_cgroup(&cgroup);
        let mut client = start_in(&cgroup, &steady(&path, &server));
        let is_seen = |line: &Value| process(line, client.pid()).is_some();
        let exits = name == "no-table";
        if exits {
            client.child.wait().unwrap();
        } else {
            let line = watch.wait_after(0, SOON, "snapshot with the process", is_seen).1;
            let covered = process(&line.content, client.pid()).unwrap();
            println!("{name}: view {}, {}", covered["view"], covered["reason"]);
            assert!(!text(&covered["reason"]).is_empty(), "{covered}");
            // It lives on, and what is claimed of it is right.
            wait_until(SOON, "the client is busy", || {
                server.counts().values().max().is_some_and(|&n| n > 50).then_some(())
            });
            assert!(client.child.try_wait().unwrap().is_none(), "{name}: the client lives");
            let view = text(&covered["view"]);
            if view == "records" {
                let snapshot = watch.fresh_snapshot();
                let connections = connections_to(&snapshot, server.address);
                assert!(connections.iter().all(|c| c["streams_opened"].is_null()), "{connections:?}");
            } else {
                wait_until_bound(&watch, server.address, &view, SOON);
                assert_in_sync(&watch, &server, client.pid(), name);
            }
        }
        assert_no_guess(&watch.stop());
    }
}

fn assert_no_guess(ended: &Ended) {
    assert!(ended.status.success(), "{}", ended.errors);
    assert!(!ended.errors.contains("panicked"), "{}", ended.errors);
    assert_eq!(number(&ended.summary()["losses"], "unreadable_memory"), 0, "a probe read what is not there");
}

/// Short lives, each with its TLS library mapped: most end between the look and the probe.
#[test]
fn processes_that_end_while_they_are_probed_do_no_harm() {
    let _turn = take_turns();
    let cgroup = Cgroup::new("tls-mayflies");
    let watch = watch_cgroup(&cgroup);
    let (before, server) = (watch.count(), Server::start());
    let url = format!("https://{}/bytes/100", server.address);
    let mut shell = Command::new("/bin/sh");
    let lives = format!(
        "for i in 1 2 3 4 5 6; do for j in 1 2 3 4 5 6; do curl -sko /dev/null {url} & done; wait; done"
    );
    shell.args(["-c", &lives]);
    cgroup.start_inside(&mut shell);
    assert!(shell.status().unwrap().success());
    let client = start_in(&cgroup, &python(&["openssl", &url, INTERVAL_MS]));
    wait_until_bound(&watch, server.address, "frames", SOON);
    assert_in_sync(&watch, &server, client.pid(), "after the mayflies");
    drop(client);
    let lines = watch.lines_from(before);
    let processes: Vec<&Value> =
        lines.iter().map(|line| &line.content).filter(|line| line["type"] == "process").collect();
    assert!(processes.iter().all(|line| !text(&line["process"]["reason"]).is_empty()), "{processes:?}");
    let ended = |line: &&&Value| text(&line["process"]["reason"]).contains("has ended");
    let gone = processes.iter().filter(ended).count();
    println!("{} `process` lines of 36 short lives, {gone} of processes that had ended", processes.len());
    assert_no_guess(&watch.stop());
}

/// A hundred clients begin at the same time, and end at the same time, beside one whose counts stay right.
#[test]
fn a_hundred_processes_at_once_are_all_probed() {
    let _turn = take_turns();
    let (server, cgroup) = (Server::start(), Cgroup::new("tls-hundred"));
    let watch = watch_cgroup(&cgroup);
    let program = go_program(GO);
    let url = format!("https://{}/bytes/100", server.address);
    let slow = [program.to_str().unwrap(), "steady", &url, "500"].map(str::to_owned);
    let clients: Vec<Program> = (0..100).map(|_| start_in(&cgroup, &slow)).collect();
    let bound = |line: &Value| {
        let connections = connections_to(line, server.address);
        let seen = |c: &&Value| c["view"] == "frames" && number(c, "streams_opened") > 0;
        connections.iter().filter(seen).count() == 100
    };
    watch.wait_after(0, Duration::from_secs(90), "snapshot with a hundred clients, frame by frame", bound);
    let snapshot = watch.fresh_snapshot();
    let connections = connections_to(&snapshot, server.address);
    let pids: BTreeMap<u64, u64> =
        connections.iter().map(|c| (number(c, "pid"), number(c, "streams_opened"))).collect();
    assert!(clients.iter().all(|client| pids.contains_key(&u64::from(client.pid()))), "one connection each");
    let one = start_in(&cgroup, &steady(&program, &server));
    let of_one = |line: &Value| {
        connections_to(line, server.address).iter().any(|c| {
            number(c, "pid") == u64::from(one.pid())
                && c["view"] == "frames"
                && number(c, "streams_opened") > 0
        })
    };
    watch.wait_after(0, SOON, "snapshot with one more", of_one);
    drop(clients);
    let alone = |line: &Value| line["type"] == "snapshot" && connections_to(line, server.address).len() == 1;
    watch.wait_after(watch.count(), SOON, "snapshot with that one only", alone);
    assert_in_sync(&watch, &server, one.pid(), "after the hundred");
    drop(one);
    assert_no_guess(&watch.stop());
}

/// What `doctor -v` says of a process; `place` as in `H2WATCH_PLACE`.
fn doctor(pid: u32, place: &str) -> String {
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_h2watch"));
    let output = doctor
        .args(["doctor", "-v", "--pid", &pid.to_string()])
        .env("H2WATCH_PLACE", place)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Not a program at all, and one that is made unreadable: `doctor` says so as well.
#[test]
fn doctor_has_a_reason_for_a_process_without_a_program() {
    let _turn = take_turns();
    let mut cat = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().unwrap();
    let said = doctor(cat.id(), "");
    cat.kill().unwrap();
    cat.wait().unwrap();
    assert!(said.contains("no TLS library with symbols was found"), "{said}");
}

/// Which view `auto` chose, what it costs, and where each probe would be; where they are dear, a view that is not.
#[test]
fn doctor_tells_the_view_its_price_and_every_place() {
    let _turn = take_turns();
    let (server, cgroup) = (Server::start(), Cgroup::new("tls-doctor"));
    let url = format!("https://{}/bytes/100", server.address);
    let go = start_in(&cgroup, &steady(&go_program(GO), &server));
    let python = start_in(&cgroup, &python(&["openssl", &url, INTERVAL_MS]));
    wait_until(SOON, "both clients are busy", || (server.counts().len() >= 2).then_some(()));
    let says = |pid: u32, place: &str, words: &[&str]| {
        let said = doctor(pid, place);
        for word in words {
            assert!(said.contains(word), "{place}: no `{word}` in {said}");
        }
    };
    let places = ["go_write in ", "crypto/tls.(*Conn).Write at +", "go_read in ", "on call runtime.memmove"];
    says(
        go.pid(),
        "",
        &[&["view frames: go", "writes and reads cost about 2 us a call"], &places[..]].concat(),
    );
    let places =
        ["tls_write_ex in libssl", "tls_write_done in libssl", "tls_read_ex in libssl", "tls_free in libssl"];
    says(python.pid(), "", &[&["view frames: OpenSSL ", "which the kernel emulates"], &places[..]].concat());
    let dear = [
        "view streams: OpenSSL ",
        "reads would cost a single step a call, about 10 us, more than auto allows",
    ];
    says(python.pid(), "entry-of-reads", &dear);
    says(python.pid(), "entry", &["view records: OpenSSL ", "writes would cost a single step a call"]);
}
