//! The dashboard in a real terminal (tmux), in the smallest and in a large size: it shows the stalled connection, quits on
//! `q`, and gives the terminal back.

use crate::support::link::Link;
use crate::support::programs::role;
use crate::support::watch::signal_process;
use crate::support::{servers, take_turns, tools, wait_until};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A tmux server of the test's own, with one window.
pub(crate) struct Terminal {
    socket: String,
    columns: usize,
    rows: usize,
}

impl Terminal {
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        tools::require_root();
        let terminal = Self { socket: format!("h2watch-{}-{columns}", std::process::id()), columns, rows };
        let (x, y) = (columns.to_string(), rows.to_string());
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &x,
            "-y",
            &y,
            "env",
            "PS1=shell$ ",
            "sh",
        ]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(tools::program("tmux"));
        command.args(["-L", &self.socket]).args(arguments).env("TERM", "xterm-256color").env_remove("TMUX");
        let output = command.output().expect("tmux starts");
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn say(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// A key, or several.
    pub(crate) fn press(&self, keys: &str) {
        self.tmux(&["send-keys", "-l", keys]);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    pub(crate) fn shows(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = std::time::Instant::now() + SOON;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(std::time::Instant::now() < end, "the screen never showed {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process that the window's shell started last.
    fn foreground(&self) -> Option<u32> {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let shell = shell.trim();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).ok()?;
        children.split_whitespace().last()?.parse().ok()
    }

    /// Is the alternate screen on, is the cursor shown, does somebody want the mouse.
    fn modes(&self) -> String {
        self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"])
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).status();
    }
}

pub(crate) fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

fn shows_the_stalled_connection(columns: usize, rows: usize) {
    let _turn = take_turns();
    let link = Link::to(servers::start());
    let terminal = Terminal::new(columns, rows);
    terminal.say("stty -a > /dev/null; echo BEFORE:$(stty -g):");
    let before = settings(&terminal.shows("stty", |screen| settings(screen, "BEFORE").is_some()), "BEFORE");
    let modes = terminal.modes();

    let client = role("steady", &["20", "200", "/bytes/10", &link.address.to_string()].map(str::to_owned));
    let h2watch = env!("CARGO_BIN_EXE_h2watch");
    terminal.say(&format!("clear; {h2watch} --stall-after 1s -- {}", quoted(&client)));
    let address = link.address.to_string();
    let healthy = terminal.shows("the connection", |screen| row(screen, &address).is_some());
    assert!(!healthy.contains("1 stalled"), "not yet:\n{healthy}");
    link.unplug();
    // The proxy's kernel acknowledges, nobody answers.
    let is_stalled = |row: String| row.contains("silent_peer");
    let stalled = terminal.shows("the stall", |screen| row(screen, &address).is_some_and(is_stalled));
    assert!(stalled.contains("1 stalled"), "{stalled}");
    println!("{columns}x{rows}\n{stalled}");
    assert!(stalled.lines().all(|line| line.chars().count() <= terminal.columns), "too wide:\n{stalled}");
    assert!(stalled.lines().count() <= terminal.rows, "too high:\n{stalled}");

    terminal.tmux(&["send-keys", "q"]);
    terminal.shows("the shell again", |screen| screen.trim_end().ends_with("shell$"));
    assert_eq!(terminal.modes(), modes, "screen, cursor and mouse are as before");
    terminal.say("clear; echo AFTER:$(stty -g):");
    let after = settings(&terminal.shows("stty", |screen| settings(screen, "AFTER").is_some()), "AFTER");
    assert_eq!(after, before, "the terminal's settings are as before");
}

/// The table's row of the only connection, which is selected, in lower case.
fn row(screen: &str, address: &str) -> Option<String> {
    screen.lines().find(|line| line.starts_with('>') && line.contains(address)).map(str::to_lowercase)
}

/// What `echo NAME:$(stty -g):` printed, which may be wrapped over lines.
fn settings(screen: &str, name: &str) -> Option<String> {
    let joined: String = screen.lines().map(str::trim_end).collect();
    let start = joined.rfind(&format!("{name}:"))? + name.len() + 1;
    let rest = &joined[start..];
    let end = rest.find("shell$")?;
    let found = rest[..end].trim_end_matches(':');
    (!found.is_empty() && !found.contains('$')).then(|| found.to_owned())
}

#[test]
fn at_80_by_24_it_shows_the_stalled_connection_and_gives_the_terminal_back() {
    shows_the_stalled_connection(80, 24);
}

#[test]
fn at_200_by_50_it_shows_the_stalled_connection_and_gives_the_terminal_back() {
    shows_the_stalled_connection(200, 50);
}

/// Ended by a signal instead of a key.
#[test]
fn ended_by_a_signal_it_gives_the_terminal_back() {
    let _turn = take_turns();
    let terminal = Terminal::new(81, 24);
    terminal.shows("the shell", |screen| screen.contains("shell$"));
    let modes = terminal.modes();
    terminal.say(&format!("{} -- sleep 60", env!("CARGO_BIN_EXE_h2watch")));
    let h2watch = wait_until(SOON, "h2watch takes over the screen", || {
        (terminal.modes() != modes).then(|| terminal.foreground()).flatten()
    });
    signal_process(h2watch, rustix::process::Signal::TERM);
    terminal.shows("the shell again", |screen| screen.trim_end().ends_with("shell$"));
    assert_eq!(terminal.modes(), modes, "screen, cursor and mouse are as before");
}
