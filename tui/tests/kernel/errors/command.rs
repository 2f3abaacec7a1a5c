//! `h2watch -- COMMAND`: what the command may expect.

use crate::support::wait_until;
use crate::support::watch::{self, Watch, lines_of};
use rustix::process::Signal;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// Runs h2watch with lines in a file, and gives the command this standard input.
fn with_lines_in_a_file(script: &str, input: &str) -> (Output, Vec<serde_json::Value>) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_str().expect("an ASCII path");
    let mut command = watch::command(&["-o", path, "--"]);
    command.args(shell(script)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("h2watch starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the command reads");
    (child.wait_with_output().expect("h2watch ends"), lines_of(file.path()))
}

#[test]
fn its_exit_status_is_passed_on() {
    for status in [0, 1, 7, 200] {
        let ended = Watch::run(&[], &shell(&format!("exit {status}"))).end(SOON);
        assert_eq!(ended.status.code(), Some(status), "{}", ended.errors);
        ended.summary();
    }
}

#[test]
fn a_fatal_signal_is_passed_on_as_shells_do() {
    let ended = Watch::run(&[], &shell("kill -KILL $$")).end(SOON);
    assert_eq!(ended.status.code(), Some(128 + 9), "{}", ended.errors);
}

#[test]
fn it_keeps_its_standard_input_and_output_when_lines_go_to_a_file() {
    let (output, lines) =
        with_lines_in_a_file("read word; echo \"got $word\"; echo aside >&2; exit 5", "hello\n");
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got hello\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("aside"));
    assert_eq!(lines.first().map(|line| &line["type"]), Some(&"ready".into()), "{lines:?}");
    assert_eq!(lines.last().map(|line| &line["type"]), Some(&"summary".into()), "{lines:?}");
}

/// h2watch raises its own limit; a program that uses select(2) relies on a low one.
#[test]
fn it_may_have_as_many_descriptors_as_without_h2watch() {
    let mut command = watch::with_descriptors(watch::command(&["-o", "/dev/null"]), 200);
    let output = command.arg("--").args(shell("ulimit -Sn")).output().expect("h2watch starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200\n", "{output:?}");
}

#[test]
fn its_standard_output_moves_aside_when_lines_go_to_standard_output() {
    // `Watch` fails on a line of standard output that is not JSON.
    let ended = Watch::run(&[], &shell("echo not json")).end(SOON);
    assert!(ended.errors.contains("not json"), "{}", ended.errors);
}

#[test]
fn its_cgroup_is_its_own_and_is_removed() {
    let ended = Watch::run(&[], &shell("sed -n 's/^0::/CGROUP /p' /proc/self/cgroup")).end(SOON);
    let path =
        ended.errors.lines().find_map(|line| line.strip_prefix("CGROUP ")).expect("cgroup v2").to_owned();
    assert!(path.contains("h2watch"), "the command ran in {path}");
    let folder = crate::support::cgroup::mount().join(path.trim_start_matches('/'));
    assert!(!folder.exists(), "{} is still there", folder.display());
}

/// A command that says UP, and TRAPPED when it gets the signal.
fn trap(name: &str, status: i32) -> Watch {
    Watch::run(
        &[],
        &shell(&format!("trap 'echo TRAPPED; exit {status}' {name}; echo UP; while :; do sleep 0.05; done")),
    )
}

#[test]
fn signals_are_forwarded_to_it() {
    for (signal, name, status) in
        [(Signal::TERM, "TERM", 3), (Signal::INT, "INT", 4), (Signal::HUP, "HUP", 5)]
    {
        let watch = trap(name, status);
        watch.wait_until_ready();
        watch.wait_for_word(SOON, "UP");
        watch.signal(signal);
        let ended = watch.end(SOON);
        assert!(ended.errors.contains("TRAPPED"), "{name}: {}", ended.errors);
        assert_eq!(ended.status.code(), Some(status), "{name}: {}", ended.errors);
    }
}

/// A signal that comes before h2watch is ready would end it and leave the command behind, in a cgroup that nobody removes.
#[test]
fn a_signal_is_forwarded_as_soon_as_it_runs() {
    for _ in 0..20 {
        let watch = trap("TERM", 3);
        watch.wait_for_word(SOON, "UP");
        watch.signal(Signal::TERM);
        let ended = watch.end(SOON);
        assert!(ended.errors.contains("TRAPPED"), "{}, {}", ended.status, ended.errors);
        assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    }
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let ended = Watch::run(&[], &["/nonexistent/program".to_owned()]).end(SOON);
    assert!(matches!(ended.status.code(), Some(2 | 127)), "{}", ended.status);
    assert!(ended.errors.contains("/nonexistent/program"), "{}", ended.errors);
    wait_until(SOON, "no cgroup of it is left", || no_cgroup_of(ended.pid).then_some(()));
}

/// No folder of a cgroup, at any depth, is named after this h2watch.
fn no_cgroup_of(pid: u32) -> bool {
    let mount = crate::support::cgroup::mount();
    let found = Command::new("find").arg(mount).args(["-name", &format!("h2watch*-{pid}")]).output();
    found.expect("find starts").stdout.is_empty()
}

/// The processes that a command leaves behind must not keep h2watch or its cgroup.
#[test]
fn a_command_that_leaves_a_process_behind_does_not_keep_h2watch() {
    let ended =
        Watch::run(&[], &shell("sleep 300 </dev/null >/dev/null 2>&1 & echo LEFT $!; exit 0")).end(SOON);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    let left = ended
        .errors
        .lines()
        .find_map(|line| line.strip_prefix("LEFT "))
        .and_then(|pid| pid.trim().parse().ok());
    if let Some(pid) = left.and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// `--for` ends the watch before the command ends by itself: nothing of it may stay behind, its cgroup neither.
#[test]
fn when_the_time_is_up_the_command_and_its_cgroup_go() {
    let watch =
        Watch::run(&["--for", "1s"], &shell("sed -n 's/^0::/CGROUP /p' /proc/self/cgroup; exec sleep 300"));
    let path = watch.wait_for_word(SOON, "CGROUP ");
    let folder = crate::support::cgroup::mount().join(path.trim_start_matches('/'));
    let ended = watch.end(SOON);
    ended.summary();
    assert!(!folder.exists(), "{} is still there", folder.display());
}
