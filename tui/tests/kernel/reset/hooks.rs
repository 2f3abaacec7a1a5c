//! `--on-stall` and `--on-recover`, from a dead link to the command.

use super::{link, steady, with};
use crate::support::watch::Watch;
use crate::support::{take_turns, wait_until};
use serde_json::Value;
use std::path::Path;

/// The one line that a command was given.
fn incident(file: &Path) -> Value {
    let text = wait_until(super::SOON, &format!("an incident in {}", file.display()), || {
        std::fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))
    });
    serde_json::from_str(&text).expect("one line of JSON")
}

#[test]
fn commands_get_the_incident_when_it_begins_and_when_it_ends() {
    let _turn = take_turns();
    let (link, folder) = (link(), tempfile::tempdir().expect("a temporary folder"));
    let [stall, recover] = ["stall", "recover"].map(|name| folder.path().join(name));
    let tee = |file: &Path| format!("tee {}", file.display());
    let options = ["--on-stall", &tee(&stall), "--on-recover", &tee(&recover)];
    let watch = Watch::run(&with(&options), &steady(&[link.address]));
    watch.wait_until_ready();
    watch.wait_for_word(super::SOON, "CONNECTED");
    link.unplug();
    let begun = incident(&stall);
    assert_eq!(begun["type"], "stall");
    assert!(!recover.exists(), "it has not recovered yet");
    link.plug_in();
    let over = incident(&recover);
    assert_eq!(over["type"], "recover");
    assert_eq!(over["connection"]["id"], begun["connection"]["id"]);
    let ended = watch.stop();
    let said: Vec<_> = ended.lines.iter().filter(|line| **line == begun || **line == over).collect();
    assert_eq!(said.len(), 2, "what the commands got is what the output says");
}

/// Three incidents at once, one command allowed, and it never ends by itself.
#[test]
fn commands_are_bounded_in_number_and_time_and_failures_are_shown() {
    let _turn = take_turns();
    let links = [link(), link(), link()];
    let client = steady(&links.each_ref().map(|link| link.address));
    let options = ["--on-stall", "sleep 600", "--hook-limit", "1", "--hook-timeout", "2s"];
    let watch = Watch::run(&with(&[&options[..], &["--on-recover", "/no/such/pager"]].concat()), &client);
    watch.wait_until_ready();
    watch.wait_for_word(super::SOON, "CONNECTED");
    links.iter().for_each(crate::support::link::Link::unplug);
    let shown = |words: &str, times: usize| {
        wait_until(super::SOON, &format!("{times} x `{words}`, in {}", watch.errors()), || {
            (watch.errors().matches(words).count() >= times).then_some(())
        });
    };
    shown("--on-stall sleep: not started: 1 commands are running already (--hook-limit)", 2);
    shown("--on-stall sleep: ended after 2 s (--hook-timeout)", 1);
    links.iter().for_each(crate::support::link::Link::plug_in);
    shown("--on-recover /no/such/pager: cannot start it", 1);
    watch.stop();
}

/// The command is still running when h2watch is asked to end, and fails then. Its words have spaces in them.
#[test]
fn what_fails_while_h2watch_ends_is_shown() {
    let _turn = take_turns();
    let (link, folder) = (link(), tempfile::tempdir().expect("a temporary folder"));
    let begun = folder.path().join("it has begun");
    let script = format!(
        r#"sh -c ': > "$1"; sleep 2; echo "too late: $H2WATCH_CAUSE" >&2; exit 3' page "{}""#,
        begun.display()
    );
    let watch = Watch::run(&with(&["--on-stall", &script]), &steady(&[link.address]));
    watch.wait_until_ready();
    watch.wait_for_word(super::SOON, "CONNECTED");
    link.unplug();
    wait_until(super::SOON, "the command", || begun.exists().then_some(()));
    let ended = watch.stop();
    println!("{}", ended.errors);
    assert!(ended.errors.contains("--on-stall sh: exit status: 3: too late: "), "{}", ended.errors);
    ended.summary();
}
