//! The terminal is given back: at the end, on an error, and on a panic while drawing. On a real pseudo-terminal, with this test
//! program itself as the child.

use crate::fixture;
use crate::keys::ui;
use futures::StreamExt;
use h2watch::dashboard::{Effect, Terminal};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

/// A child on a pseudo-terminal of 80x24, and a thread that reads what it prints.
pub(crate) struct Session {
    child: Child,
    terminal: OwnedFd,
    keyboard: File,
    printed: mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Session {
    fn start(ending: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "terminal::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env("H2WATCH_TEST_ENDING", ending);
        Self::run(command)
    }

    /// Any program.
    pub(crate) fn run(mut command: Command) -> Self {
        let master =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let open = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let terminal = open();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let child = command.stdin(open()).stdout(open()).stderr(Stdio::from(open())).spawn().unwrap();
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().unwrap();
        let (sender, printed) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match screen.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(n) => sender.send(buffer[..n].to_vec()).unwrap_or(()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // EIO: the other side is closed.
                    Err(_) => return,
                }
            }
        });
        Self { child, terminal: terminal.into(), keyboard, printed, text: String::new() }
    }

    pub(crate) fn wait_for(&mut self, wanted: &str) {
        while !self.text.contains(wanted) {
            let bytes = self.printed.recv_timeout(DEADLINE).unwrap_or_else(|_| {
                panic!("{wanted:?} was not printed, but: {:?}", self.text);
            });
            self.text += &String::from_utf8_lossy(&bytes);
        }
    }

    fn raw(&self) -> bool {
        !tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// What came before the dashboard took the terminal, and what it has drawn so far.
    pub(crate) fn before_and_on_screen(&self) -> (&str, &str) {
        self.text.split_once(ENTER).unwrap()
    }

    /// A person quits, and has the terminal again.
    pub(crate) fn quit(mut self) {
        self.press("q");
        self.wait_for(LEAVE);
        assert!(self.child.wait().unwrap().success());
        assert!(!self.raw());
    }

    /// What is true however the dashboard ends.
    fn ends(mut self, success: bool, last_words: &str) {
        self.wait_for(last_words);
        assert_eq!(self.child.wait().unwrap().success(), success);
        assert!(!self.raw(), "the terminal echoes and has lines again");
        assert_eq!(self.text.matches(ENTER).count(), 1);
        assert_eq!(self.text.matches(LEAVE).count(), 1, "left once: {:?}", self.text);
        let (_, after) = self.text.split_once(LEAVE).unwrap();
        assert!(after.contains(last_words), "the message is on the user's screen: {after:?}");
        let shown = self.text.rfind("\u{1b}[?25h");
        assert!(shown > self.text.rfind("\u{1b}[?25l"), "the cursor is visible");
    }
}

#[test]
fn keys_arrive_and_the_terminal_is_given_back_at_the_end() {
    let mut session = Session::start("quit");
    session.wait_for("orders-api");
    assert!(session.raw());
    session.press("q");
    session.ends(true, "1 passed");
}

#[test]
fn a_panic_gives_the_terminal_back_and_its_message_is_readable() {
    let mut session = Session::start("panic");
    session.wait_for("orders-api");
    session.ends(false, "a bug while drawing");
}

#[test]
fn an_error_gives_the_terminal_back() {
    let mut session = Session::start("error");
    session.wait_for("orders-api");
    session.ends(false, "the probe is gone");
}

/// The child of the tests above: opens the dashboard on its terminal and ends in the way that it is told.
#[test]
#[ignore = "runs on a pseudo-terminal, as the child of other tests"]
fn child() {
    let Ok(ending) = std::env::var("H2WATCH_TEST_ENDING") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(show(&ending)).unwrap();
}

async fn show(ending: &str) -> anyhow::Result<()> {
    let snapshot = fixture::snapshot(vec![fixture::healthy(1, 4_213, "orders-api", "10.0.3.17:8443")]);
    let mut terminal = Terminal::open()?;
    assert_eq!(terminal.size()?, (80, 24));
    let mut ui = ui(terminal.size()?);
    let mut inputs = terminal.inputs();
    terminal.draw(&snapshot, &ui)?;
    match ending {
        "panic" => panic!("a bug while drawing"),
        "error" => anyhow::bail!("the probe is gone"),
        _ => {
            while let Some(input) = inputs.next().await {
                if ui.handle(input, &snapshot).contains(&Effect::Quit) {
                    return Ok(());
                }
                terminal.draw(&snapshot, &ui)?;
            }
            anyhow::bail!("the terminal was closed")
        }
    }
}
