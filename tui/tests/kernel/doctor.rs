//! `h2watch doctor`: its exit status is its worst finding, for scripts, and its last line says the same to people.

use crate::support::programs::{Program, h2watch_as_nobody};
use crate::support::tools;
use std::process::{Command, Output};

fn examine(arguments: &[&str]) -> Output {
    tools::require_root();
    Command::new(env!("CARGO_BIN_EXE_h2watch"))
        .arg("doctor")
        .args(arguments)
        .output()
        .expect("h2watch starts")
}

/// Status and last line are those of the worst line; gives the status and everything that was said.
fn assert_consistent(output: &Output) -> (i32, String) {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    let findings = |word: &str| said.lines().filter(|line| line.starts_with(word)).count();
    assert!(findings("PASS") > 0, "something works everywhere: {said}");
    let (status, sentence) = match (findings("FAIL"), findings("WARN")) {
        (0, 0) => (0, "Everything that h2watch does can be done here."),
        (0, _) => (1, "h2watch works here, with the limits above."),
        _ => (2, "Nothing can be watched before the failures above are mended."),
    };
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(said.lines().last(), Some(sentence), "{said}");
    (status, said)
}

/// These tests watch, so it can be done here; whether with limits is this machine's affair.
#[test]
fn where_root_can_watch_nothing_fails() {
    let (status, said) = assert_consistent(&examine(&[]));
    assert!(status <= 1, "{said}");
    for subject in ["kernel", "rights", "cgroup v2", "probe", "tls probes", "attach", "sock_diag"] {
        assert!(said.contains(&format!("PASS  {subject} ")), "{subject}: {said}");
    }
}

/// A process without a TLS library: whatever it encrypts is seen as records.
#[test]
fn a_process_that_can_be_seen_in_part_is_a_limit() {
    let sleeping = Program::start(&["sleep".to_owned(), "60".to_owned()]);
    let (status, said) = assert_consistent(&examine(&["--pid", &sleeping.pid().to_string()]));
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("WARN  TLS ") && said.contains("is sleep"), "{said}");
}

#[test]
fn without_rights_nothing_can_be_watched() {
    let (status, said) = assert_consistent(&h2watch_as_nobody(&["doctor"]));
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("FAIL  rights ") && said.contains("-> run it with sudo"), "{said}");
    assert!(
        said.contains("WARN  uprobes ") && !said.contains("please report it"),
        "one cause is enough: {said}"
    );
}

#[test]
fn a_process_that_is_not_there_cannot_be_watched() {
    let ended = {
        let mut child = Command::new("true").spawn().expect("true starts");
        child.wait().expect("true ends");
        child.id().to_string()
    };
    let (status, said) = assert_consistent(&examine(&["--pid", &ended]));
    assert_eq!(status, 2, "{said}");
    assert!(said.contains(&format!("there is no process {ended}")), "{said}");
}
