//! Recordings on a terminal: the dashboard says that it is recorded, and why where a live one was asked for.

use crate::terminal::Session;
use h2watch::demo::RECORDING;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn a_replay_is_labelled_from_its_first_frame_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkout.h2w");
    std::fs::write(&file, RECORDING).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
    command.arg("replay").arg(file).args(["--speed", "20x"]);
    let mut session = Session::run(command);
    session.wait_for("silent_peer");
    let (_, screen) = session.before_and_on_screen();
    let label = screen.find("RECORDING  checkout.h2w").expect("the label is drawn");
    assert!(label < screen.find("silent_peer").unwrap(), "before anything that happened: {screen:?}");
    session.wait_for("this is the end of the recording");
    session.quit();
}

/// Root takes on another identity, everybody else has none to give up.
fn without_rights(folder: &tempfile::TempDir) -> Command {
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = folder.path().join("h2watch");
    std::fs::copy(env!("CARGO_BIN_EXE_h2watch"), &copy).unwrap();
    if !rustix::process::geteuid().is_root() {
        return Command::new(copy);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy).current_dir("/");
    command
}

#[test]
fn the_demo_without_rights_says_why_and_is_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = without_rights(&folder);
    command.arg("demo");
    let mut session = Session::run(command);
    session.wait_for("RECORDING  of the demo");
    // The table's head, which is drawn below the reason.
    session.wait_for("UNANSW");
    let (before, screen) = session.before_and_on_screen();
    assert!(before.contains("the demo cannot run live here") && before.contains("needs root"), "{before:?}");
    let (_, limits) = screen.split_once("limited:").expect("what limits it is drawn");
    // A blank is not drawn where the screen has one already.
    for word in ["cannot", "live", "needs", "root,"] {
        assert!(limits.contains(word), "{word}: {limits:?}");
    }
    session.quit();
}
