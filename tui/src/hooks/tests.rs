//! Real commands, started for made-up incidents.

use super::*;
use crate::model::sample::Owner;
use crate::model::staged::Staged;
use crate::verdict::{Cause, State, Verdict};
use std::path::Path;

fn connection(comm: &str) -> Connection {
    let mut staged = Staged::records(42, 0);
    staged.reading.owner = Owner { pid: 7, comm: comm.to_owned(), ..Owner::default() };
    staged.reading.local = "10.0.0.1:1000".parse().unwrap();
    staged.reading.remote = "[2001:db8::2]:443".parse().unwrap();
    let verdict = Verdict {
        state: State::Stalled,
        cause: Some(Cause::SilentPeer),
        evidence: "`touch x` $(touch x); touch x".to_owned(),
        ..Verdict::default()
    };
    Connection { stalled_since_ns: Some(1), stalls: 1, ..staged.connection(verdict) }
}

fn words(words: &[&str]) -> Option<Command> {
    Command::of(&words.iter().map(OsString::from).collect::<Vec<_>>())
}

/// Runs the command for one stall and gives what failed.
async fn stall(words_: &[&str], options: Options) -> Vec<Failure> {
    let (hooks, mut failures) = Hooks::new(Options { on_stall: words(words_), ..options });
    hooks.start(Event::Stall, &connection("client"), r#"{"type":"stall"}"#);
    hooks.finish().await;
    let mut all = Vec::new();
    while let Some(failure) = failures.recv().await {
        all.push(failure);
    }
    all
}

fn within(path: &Path, name: &str) -> String {
    path.join(name).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn they_have_the_limit_of_descriptors_that_h2watch_was_started_with() {
    crate::descriptors::allow_most();
    let limits = || rustix::process::getrlimit(rustix::process::Resource::Nofile);
    assert_eq!(limits().current, limits().maximum);
    let folder = tempfile::tempdir().unwrap();
    let soft = within(folder.path(), "soft");
    let failures = stall(&["sh", "-c", &format!("ulimit -Sn > {soft}")], Options::default()).await;
    assert_eq!(failures, vec![]);
    let before = crate::descriptors::before().unwrap().current.unwrap();
    assert_eq!(std::fs::read_to_string(soft).unwrap(), format!("{before}\n"));
}

#[tokio::test]
async fn the_incident_is_on_stdin_and_in_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (input, variables) = (within(folder.path(), "in"), within(folder.path(), "env"));
    let script = format!("cat > {input}; env | grep ^H2WATCH_ | sort > {variables}");
    assert_eq!(stall(&["sh", "-c", &script], Options::default()).await, vec![]);
    assert_eq!(std::fs::read_to_string(input).unwrap(), "{\"type\":\"stall\"}\n");
    let text = std::fs::read_to_string(variables).unwrap();
    for line in [
        "H2WATCH_CAUSE=silent_peer",
        "H2WATCH_COMM=client",
        "H2WATCH_EVENT=stall",
        "H2WATCH_EVIDENCE=`touch x` $(touch x); touch x",
        "H2WATCH_ID=42",
        "H2WATCH_LOCAL=10.0.0.1:1000",
        "H2WATCH_PID=7",
        "H2WATCH_REMOTE=[2001:db8::2]:443",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn arguments_pass_through_no_shell() {
    let folder = tempfile::tempdir().unwrap();
    let odd = within(folder.path(), "$(id); a b");
    assert_eq!(stall(&["touch", "--", &odd], Options::default()).await, vec![]);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, vec![OsString::from("$(id); a b")]);
}

#[tokio::test]
async fn a_command_that_fails_is_reported_with_its_words() {
    let failures = stall(&["sh", "-c", "echo no such pager >&2; exit 3"], Options::default()).await;
    let text = failures[0].to_string();
    assert!(text.contains("--on-stall sh") && text.contains("exit status: 3: no such pager"), "{text}");
    let failures = stall(&["/nonexistent/command"], Options::default()).await;
    assert!(matches!(failures[0].problem, Problem::NotStarted(_)), "{failures:?}");
    let failures =
        stall(&["sh", "-c", "yes complaint | head -c 300000 >&2; exit 1"], Options::default()).await;
    let Problem::Failed { stderr, .. } = &failures[0].problem else { panic!("{failures:?}") };
    assert!((1_900..=2_000).contains(&stderr.len()), "{}", stderr.len());
}

#[tokio::test]
async fn a_command_may_ignore_its_stdin() {
    let (hooks, mut failures) = Hooks::new(Options { on_stall: words(&["true"]), ..Options::default() });
    hooks.start(Event::Stall, &connection("client"), &"x".repeat(1_000_000));
    hooks.finish().await;
    assert_eq!(failures.recv().await, None);
}

#[tokio::test]
async fn a_timeout_ends_the_command_and_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = within(folder.path(), "pids");
    let script = format!("sleep 600 & echo $! $$ > {pids}; wait");
    let options = Options { timeout: Duration::from_millis(300), ..Options::default() };
    let failures = stall(&["sh", "-c", &script], options).await;
    assert_eq!(failures[0].problem, Problem::TimedOut(Duration::from_millis(300)));
    for pid in std::fs::read_to_string(pids).unwrap().split_whitespace() {
        gone(pid).await;
    }
}

/// Waits until the process has ended; an orphan may stay a zombie until its new parent looks.
async fn gone(pid: &str) {
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while alive() {
        assert!(tokio::time::Instant::now() < deadline, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn more_than_the_limit_start_none_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let sign = within(folder.path(), "sign");
    let script = format!("until [ -e {sign} ]; do sleep 0.01; done");
    let options = Options { on_stall: words(&["sh", "-c", &script]), at_once: 2, ..Options::default() };
    let (hooks, mut failures) = Hooks::new(options);
    for _ in 0..3 {
        hooks.start(Event::Stall, &connection("client"), "{}");
    }
    let failure = failures.recv().await.unwrap();
    assert_eq!(failure.problem, Problem::TooMany(2));
    std::fs::write(sign, "").unwrap();
    hooks.finish().await;
    assert_eq!(failures.recv().await, None, "the two that had a place did their work");
}

#[tokio::test]
async fn each_event_has_its_own_command_and_may_have_none() {
    let (hooks, mut failures) = Hooks::new(Options { on_recover: words(&["false"]), ..Options::default() });
    hooks.start(Event::Stall, &connection("client"), "{}");
    hooks.start(Event::Recover, &connection("a\0b"), "{}");
    hooks.finish().await;
    let failure = failures.recv().await.unwrap();
    assert_eq!(failure.event, Event::Recover);
    assert_eq!(failures.recv().await, None);
    assert_eq!(Command::of(&[]), None);
}
