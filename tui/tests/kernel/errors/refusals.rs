//! What h2watch refuses: it says what is wrong, where, and what to do, and exits with 2.

use crate::support::cgroup::{self, Cgroup};
use crate::support::compare::{number, sum_below};
use crate::support::leftovers::{Held, assert_no_orphans};
use crate::support::programs::{self, Program, installed, role};
use crate::support::servers;
use crate::support::tools;
use crate::support::watch::{self, Watch};
use serde_json::Value;
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const COULD_NOT_TELL: i32 = 2;

/// Asserts a refusal: exit status 2, these words in the sentence, no panic, nothing left in the kernel.
fn assert_refused(output: &Output, words: &[&str]) {
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{errors}");
    assert_eq!(output.status.code(), Some(COULD_NOT_TELL), "stderr: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    for word in words {
        assert!(errors.contains(word), "`{word}` is not in: {errors}");
    }
    assert!(errors.lines().count() <= 6, "a sentence, not a dump: {errors}");
    assert_no_orphans();
}

fn run(options: &[&str]) -> Output {
    watch::command(options).output().expect("h2watch starts")
}

/// A process number that nobody has.
fn unknown_pid() -> String {
    let mut child = Command::new("true").spawn().expect("true starts");
    let pid = child.id().to_string();
    child.wait().expect("true ends");
    pid
}

#[test]
fn an_unknown_pid() {
    let pid = unknown_pid();
    assert_refused(&run(&["--pid", &pid]), &[&pid]);
}

/// Processes of that name may start later: nothing is wrong.
#[test]
fn a_name_that_nobody_has_yet_is_waited_for() {
    let ended = Watch::start(&["--comm", "no-such-name", "--for", "1s"]).end(SOON);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    ended.summary();
}

#[test]
fn a_cgroup_that_does_not_exist() {
    assert_refused(&run(&["--cgroup", "/no/such/cgroup"]), &["/no/such/cgroup"]);
}

#[test]
fn a_pid_that_exits_while_it_is_watched_ends_the_watch() {
    let cgroup = Cgroup::new("exits");
    let client = Program::start_with(&["sleep".to_owned(), "60".to_owned()], |c| cgroup.start_inside(c));
    let watch = Watch::start(&["--pid", &client.pid().to_string()]);
    let held = Held::by(watch.pid());
    drop(client);
    let ended = watch.end(SOON);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    ended.summary();
    held.wait_until_freed();
}

#[test]
fn without_root() {
    let pid = std::process::id().to_string();
    let output = programs::h2watch_as_nobody(&["--output", "json", "--pid", &pid]);
    assert_refused(&output, &["root"]);
}

/// In a mount namespace of its own, where the hierarchy is not mounted.
fn run_without_cgroup_v2(options: &str) -> Output {
    let mount = cgroup::mount();
    let script = format!("umount {} && exec \"$0\" {options}", mount.display());
    Command::new(tools::program("unshare"))
        .args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_h2watch")])
        .output()
        .expect("unshare starts")
}

#[test]
fn without_cgroup_v2() {
    let own = format!("--pid {}", std::process::id());
    for options in ["-- true", &own] {
        let output = run_without_cgroup_v2(&format!("--output json {options}"));
        assert_refused(&output, &["no cgroup v2 hierarchy is mounted", "mount -t cgroup2"]);
    }
}

/// What was asked for, a demonstration, is given.
#[test]
fn without_cgroup_v2_the_demo_says_why_and_plays_its_recording() {
    let output = run_without_cgroup_v2("demo --output json --for 1s");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(errors.contains("no cgroup v2 hierarchy is mounted: mount one with"), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().all(|line| line["recording"].is_string()), "each line says it: {text}");
    let reason = lines[0]["degradations"][0].as_str().unwrap_or_default();
    assert!(reason.contains("no cgroup v2 hierarchy is mounted"), "{reason}");
}

/// The ABI version is four bytes of a section of their own; whatever it says, another number is refused.
#[test]
fn an_object_with_another_abi_version() {
    let mut bytes = tools::probe_object();
    let (offset, size) = section(&bytes, "h2watch.abi");
    assert_eq!(size, 4 * probe_common::ABI.len());
    bytes[offset..offset + 4].copy_from_slice(&60_000u32.to_le_bytes());
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("a temporary file");
    let output =
        watch::command(&["--", "true"]).env("H2WATCH_PROBE", file.path()).output().expect("h2watch starts");
    assert_refused(&output, &[file.path().to_str().expect("an ASCII path"), "60000", "cargo xtask probe"]);
}

/// Without the map for the programs' own messages everything is watched, and it is said that they are not read.
#[test]
fn an_object_without_a_map_for_messages() {
    let mut bytes = tools::probe_object();
    let name = b"AYA_LOGS";
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|&at| bytes[at..].starts_with(name)).collect();
    assert!(!places.is_empty(), "the object has no such map");
    places.into_iter().for_each(|at| bytes[at] = b'B');
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("a temporary file");
    let mut command = watch::command(&["--", "true"]);
    command.env("H2WATCH_PROBE", file.path());
    let ended = Watch::spawn(command).end(SOON);
    assert!(ended.status.success(), "{}", ended.errors);
    let degradations = ended.summary()["degradations"].to_string();
    assert!(degradations.contains("messages of the kernel programs are not read"), "{degradations}");
}

/// Where a section's bytes are in an ELF file.
fn section(bytes: &[u8], name: &str) -> (usize, usize) {
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(bytes).expect("an ELF file");
    let (offset, size) =
        file.section_by_name(name).and_then(|s| s.file_range()).expect("the section has bytes");
    (usize::try_from(offset).expect("small"), usize::try_from(size).expect("small"))
}

#[test]
fn an_object_that_is_none() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), b"not an object").expect("a temporary file");
    let output =
        watch::command(&["--", "true"]).env("H2WATCH_PROBE", file.path()).output().expect("h2watch starts");
    assert_refused(&output, &[file.path().to_str().expect("an ASCII path")]);
}

/// 20 connections where 8 fit: the loss is said, and the eight are counted.
#[test]
fn a_full_connection_table_is_said() {
    let server = servers::start().to_string();
    let mut arguments = ["20", "5000", "/bytes/10"].map(str::to_owned).to_vec();
    arguments.extend(std::iter::repeat_n(server, 20));
    let watch = Watch::run(&["--max-connections", "8", "--interval", "200ms"], &role("steady", &arguments));
    watch.wait_for_word(SOON, "CONNECTED");
    let loss = watch.wait_for(SOON, "loss", |line| line["type"] == "loss");
    assert!(sum_below(&loss.content, "connections_full") > 0, "{}", loss.content);
    let snapshot = watch.fresh_snapshot();
    let connections = snapshot["connections"].as_array().expect("a list");
    assert_eq!(connections.len(), 8, "{snapshot}");
    for connection in connections {
        assert!(number(connection, "streams_opened") > 0, "{connection}");
        assert_ne!(connection["verdict"], "stalled", "{connection}");
    }
    assert_eq!(sum_below(&snapshot["losses"], "connections_full"), 12, "{snapshot}");
    let ended = watch.stop();
    assert!(ended.of("stall").is_empty(), "{:?}", ended.of("stall"));
    // The kernel programs' own words.
    let degradations = ended.summary()["degradations"].to_string();
    assert!(degradations.contains("no free slot: a connection of process"), "{degradations}");
}

/// 20 connections that are open already where 8 fit: the same loss. When others end, those that had no place get one.
#[test]
fn connections_that_are_open_already_and_do_not_fit_are_said() {
    let (cgroup, server) = (Cgroup::new("seeds"), servers::start().to_string());
    let start = |connections| {
        let mut arguments = ["20", "5000", "/bytes/10"].map(str::to_owned).to_vec();
        arguments.extend(std::iter::repeat_n(server.clone(), connections));
        let mut client = Program::start_with(&role("steady", &arguments), |c| cgroup.start_inside(c));
        client.hear("CONNECTED");
        client
    };
    let (first, second) = (start(12), start(8));
    let path = cgroup.path().to_string_lossy().into_owned();
    let watch = Watch::start(&["--cgroup", &path, "--max-connections", "8", "--interval", "200ms"]);
    let loss = watch.wait_for(SOON, "loss", |line| line["type"] == "loss");
    assert_eq!(sum_below(&loss.content, "connections_full"), 12, "{}", loss.content);
    let snapshot = watch.fresh_snapshot();
    assert_eq!(snapshot["connections"].as_array().map(Vec::len), Some(8), "{snapshot}");
    drop(first);
    let all_of_the_second = |line: &Value| {
        let list = line["connections"].as_array().filter(|list| list.len() == 8);
        list.is_some_and(|list| list.iter().all(|c| number(c, "pid") == u64::from(second.pid())))
    };
    watch.wait_for(SOON, "the connections that had no place", all_of_the_second);
    let ended = watch.stop();
    assert_eq!(sum_below(&ended.summary()["losses"], "connections_full"), 12, "{}", ended.summary());
}

#[test]
fn a_pipe_gets_lines_without_escape_sequences() {
    let url = format!("http://{}/bytes/10", servers::start());
    let words = installed("curl", &["--silent", "--http2-prior-knowledge", &url]);
    let output =
        Command::new(env!("CARGO_BIN_EXE_h2watch")).arg("--").args(words).output().expect("h2watch starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty(), "something is said");
    assert!(!output.stdout.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn arguments_that_mean_nothing() {
    for options in
        [&["--stall-after", "soon", "--", "true"][..], &["--pid", "x"], &["--interval", "0s", "--", "true"]]
    {
        assert_refused(&run(options), &[]);
    }
}

/// A selector or a command, not both: one of the two would be passed over in silence.
#[test]
fn a_selector_beside_a_command() {
    let cgroup = Cgroup::new("both");
    let path = cgroup.path().to_string_lossy().into_owned();
    assert_refused(&run(&["--cgroup", &path, "--", "true"]), &["--cgroup"]);
}
