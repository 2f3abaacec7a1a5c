//! The program on recordings: what it prints, what it refuses, and that it needs no rights for it.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use h2watch::demo::RECORDING;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn h2watch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_h2watch")).args(arguments).output().unwrap()
}

/// A file with these bytes.
fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn replay(path: &Path, arguments: &[&str]) -> Output {
    h2watch(&[&["replay", path.to_str().unwrap()], arguments].concat())
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

fn assert_refused(output: &Output, words: &[&str]) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for word in words {
        assert!(errors.contains(word), "`{word}` is not in: {errors}");
    }
    assert_eq!(errors.lines().count(), 1, "a sentence: {errors}");
}

#[test]
fn the_bundled_recording_tells_its_story_and_says_on_each_line_that_it_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = replay(&file(&folder, "demo.h2w", RECORDING), &["--output", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = lines(&output);
    assert!(lines.iter().all(|line| line["recording"] == "demo.h2w"));
    assert_eq!(lines.first().unwrap()["type"], "ready");
    assert_eq!(of(&lines, "open").len(), 5);
    let (stalls, recovers) = (of(&lines, "stall"), of(&lines, "recover"));
    assert_eq!((stalls.len(), recovers.len()), (1, 1));
    assert_eq!(stalls[0]["connection"]["id"], recovers[0]["connection"]["id"]);
    assert_eq!(of(&lines, "close").len(), 5);
    assert!(of(&lines, "snapshot").len() > 30, "about four a second, for eleven seconds");
    let summary = lines.last().unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["totals"]["stalls"], 1);
    assert!(summary["duration_ms"].as_u64().unwrap() >= 10_000, "the recorded time: {summary}");
}

/// Programs want it at once; whoever asks for the original pace gets it.
#[test]
fn a_speed_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "demo.h2w", RECORDING);
    let began = std::time::Instant::now();
    assert!(replay(&path, &["--speed", "10x"]).status.success());
    assert!(began.elapsed().as_millis() >= 1000, "eleven seconds take at least one");
    let refused = replay(&path, &["--speed", "fast"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("max"));
}

#[test]
fn lines_for_people_say_that_they_are_recorded_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "demo.h2w", RECORDING);
    let to = folder.path().join("lines");
    let output = replay(&path, &["-o", to.to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty());
    let text = std::fs::read_to_string(to).unwrap();
    // The summary's table is indented below its line.
    assert!(text.lines().all(|line| line.starts_with("RECORDING ") || line.starts_with("  ")), "{text}");
    assert!(text.contains("STALL") && text.contains("recover"), "{text}");
}

/// What comes before the cut is shown, and then what is wrong.
#[test]
fn a_recording_that_was_cut_off_is_shown_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = replay(&file(&folder, "cut.h2w", &RECORDING[..RECORDING.len() / 2]), &["--output", "json"]);
    assert_refused(&output, &["cut.h2w", "cut off"]);
    let lines = lines(&output);
    assert_eq!(lines.first().unwrap()["type"], "ready");
    assert_eq!(lines.last().unwrap()["type"], "summary");
}

#[test]
fn what_is_no_recording_or_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_refused(&replay(&file(&folder, "text", b"{}\n"), &[]), &["text", "not an h2watch recording"]);
    assert_refused(&replay(&folder.path().join("none"), &[]), &["none", "No such file"]);
    assert_refused(&replay(folder.path(), &[]), &["cannot be read"]);
    let mut damaged = RECORDING.to_vec();
    // gzip's checksum is in the last eight bytes.
    let at = damaged.len() - 8;
    damaged[at] ^= 1;
    assert_refused(
        &replay(&file(&folder, "damaged.h2w", &damaged), &[]),
        &["damaged.h2w", "damaged at line"],
    );
}

/// A copy of the program where everybody may run it.
fn copy_for_everybody(folder: &tempfile::TempDir) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = folder.path().join("h2watch");
    std::fs::copy(env!("CARGO_BIN_EXE_h2watch"), &copy).unwrap();
    copy
}

/// `h2watch` as somebody without rights: root takes on another identity, everybody else has none to give up.
fn without_rights(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program).current_dir("/");
    command
}

#[test]
fn without_rights_the_demo_says_why_and_plays_its_recording() {
    let folder = tempfile::tempdir().unwrap();
    let program = copy_for_everybody(&folder);
    let output = without_rights(&program).args(["demo", "--output", "json", "--for", "8s"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(errors.contains("needs root") && errors.contains("recording"), "{errors}");
    let lines = lines(&output);
    assert!(lines.iter().all(|line| line["recording"].is_string()), "each line says it");
    assert!(lines[0]["degradations"][0].as_str().unwrap().contains("needs root"));
    assert_eq!(of(&lines, "stall").len(), 1);
    assert_eq!(lines.last().unwrap()["type"], "summary");
}

#[test]
fn a_recording_needs_no_rights() {
    let folder = tempfile::tempdir().unwrap();
    let program = copy_for_everybody(&folder);
    let path = file(&folder, "demo.h2w", RECORDING);
    let output = without_rights(&program).arg("replay").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("STALL"));
}
