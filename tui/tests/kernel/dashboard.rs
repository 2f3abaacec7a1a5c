//! The dashboard in a real terminal (tmux), in the smallest and in a large size: it shows the stalled connection, does what
//! its keys say, and gives the terminal back, after `q` as after a signal.

use crate::support::cgroup::Cgroup;
use crate::support::link::Link;
use crate::support::programs::{Program, role};
use crate::support::watch::signal_process;
use crate::support::{servers, take_turns, tools, wait_until};
use rustix::process::Signal;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
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

    /// A key by tmux's name for it.
    fn press_key(&self, name: &str) {
        self.tmux(&["send-keys", name]);
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
    pub(crate) fn modes(&self) -> String {
        self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"])
    }

    /// What `stty -g` says.
    fn settings(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // A word that is not on the screen yet.
        let name = format!("STTY{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.say(&format!("clear; echo {name}:$(stty -g):"));
        let screen = self.shows("what stty says", |screen| settings(screen, &name).is_some());
        settings(&screen, &name).expect("just seen")
    }

    fn shows_the_shell(&self) {
        self.shows("the shell", |screen| screen.trim_end().ends_with("shell$"));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).status();
    }
}

/// For a shell, also within what is quoted once more.
pub(crate) fn quoted(words: &[String]) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// What a terminal is like: screen, cursor and mouse, and the settings of the line.
#[derive(Debug, PartialEq)]
struct Manners(String, String);

impl Manners {
    fn of(terminal: &Terminal) -> Self {
        Self(terminal.modes(), terminal.settings())
    }
}

fn shows_the_stalled_connection(columns: usize, rows: usize) {
    let _turn = take_turns();
    let server = servers::start();
    let (link, other) = (Link::to(server), Link::to(server));
    let terminal = Terminal::new(columns, rows);
    terminal.shows_the_shell();
    let before = Manners::of(&terminal);

    let (address, calm) = (link.address.to_string(), other.address.to_string());
    let client = role("steady", &["20", "200", "/bytes/10", &address, &calm].map(str::to_owned));
    let h2watch = env!("CARGO_BIN_EXE_h2watch");
    terminal.say(&format!("clear; {h2watch} --stall-after 1s -- {}", quoted(&client)));
    let healthy = terminal
        .shows("both connections", |screen| [&address, &calm].iter().all(|a| row(screen, a).is_some()));
    assert!(!healthy.contains("1 stalled"), "not yet:\n{healthy}");
    link.unplug();
    // The proxy's kernel acknowledges, nobody answers.
    let is_stalled = |row: String| row.contains("silent_peer");
    let stalled = terminal.shows("the stall", |screen| row(screen, &address).is_some_and(is_stalled));
    assert!(stalled.contains("1 stalled"), "{stalled}");
    println!("{columns}x{rows}\n{stalled}");
    assert_fits(&terminal, &stalled);

    obeys_its_keys(&terminal, &address, &calm);
    stands_still_while_paused(&terminal, &link);

    terminal.press("q");
    terminal.shows_the_shell();
    assert_eq!(Manners::of(&terminal), before, "the terminal is as before");
}

fn assert_fits(terminal: &Terminal, screen: &str) {
    assert!(screen.lines().all(|line| line.chars().count() <= terminal.columns), "too wide:\n{screen}");
    assert!(screen.lines().count() <= terminal.rows, "too high:\n{screen}");
}

/// `?`, `j`, `k` and enter, with a stalled connection on top of the table and a calm one below it.
fn obeys_its_keys(terminal: &Terminal, address: &str, calm: &str) {
    let has_help =
        |screen: &str| screen.contains("╭ help ") && screen.contains("streams opened while stalled");
    terminal.press("?");
    assert_fits(terminal, &terminal.shows("the help", has_help));
    terminal.press("?");
    terminal.shows("the table behind the help", |screen| !has_help(screen) && row(screen, address).is_some());

    let selects = |wanted: &str| {
        let wanted = wanted.to_owned();
        move |screen: &str| row(screen, &wanted).is_some_and(|row| row.starts_with('>'))
    };
    // The selection stays on the connection that was on top before the stall.
    terminal.press("k");
    terminal.shows("the first row selected", selects(address));
    terminal.press("j");
    terminal.shows("the second row selected", selects(calm));
    terminal.press("k");
    terminal.shows("the first row selected again", selects(address));

    terminal.press_key("Enter");
    let is_its_page = |screen: &str| {
        screen.contains(" esc back ")
            && screen.contains(&format!("→ {address}"))
            && [address, calm].iter().all(|address| row(screen, address).is_none())
    };
    let page = terminal.shows("all facts of the selected connection", is_its_page);
    assert!(page.contains("stalled: silent_peer for") && page.contains(" tcp "), "{page}");
    assert_fits(terminal, &page);
    terminal.press_key("Escape");
    terminal.shows("the table again", selects(address));
}

/// `p`: what the person reads stays, whatever happens; at the next `p` it is up to date.
fn stands_still_while_paused(terminal: &Terminal, link: &Link) {
    terminal.press("p");
    let paused = terminal.shows("that it is paused", |screen| screen.contains(" PAUSED "));
    let carried = || link.recordings().values().map(|recording| recording.received.len()).sum::<usize>();
    let before = carried();
    link.plug_in();
    // More than four intervals of the dashboard: some 50 answers a second, of 20 bytes at least.
    wait_until(SOON, "the link carries answers again", || (carried() > before + 1500).then_some(()));
    assert_eq!(terminal.screen(), paused, "it stands still");
    terminal.press("p");
    terminal.shows("the recovery", |screen| !screen.contains(" PAUSED ") && !screen.contains("1 stalled"));
}

/// The table's row of a connection, in lower case; `>` is in front of the selected one. Elsewhere an address is in the title, as a
/// part of the command, and behind an arrow.
fn row(screen: &str, address: &str) -> Option<String> {
    let mut rows = screen.lines().filter(|line| !line.starts_with(" h2watch ") && !line.contains('→'));
    rows.find(|line| line.contains(address)).map(str::to_lowercase)
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

/// Every signal that asks it to end, the one that would leave a core file included: at the terminal that means the same.
#[test]
fn ended_by_a_signal_it_gives_the_terminal_back() {
    let _turn = take_turns();
    let cgroup = Cgroup::new("signal");
    let target = Program::start_with(&["sleep".to_owned(), "60".to_owned()], |c| cgroup.start_inside(c));
    let terminal = Terminal::new(81, 24);
    terminal.shows_the_shell();
    let before = Manners::of(&terminal);
    let h2watch = env!("CARGO_BIN_EXE_h2watch");
    let watch_pid = format!("clear; {h2watch} --pid {}; echo STATUS:$?", target.pid());
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        signal_when_it_is_on(&terminal, &watch_pid, &before, signal);
        terminal.shows("a good end", |screen| screen.contains("STATUS:0"));
        assert_eq!(Manners::of(&terminal), before, "after {signal:?} the terminal is as before");
    }
    // The command gets the signal, and its end is that of the watch.
    for (signal, status) in [(Signal::TERM, "STATUS:143"), (Signal::QUIT, "STATUS:131")] {
        let command = format!("clear; {h2watch} -- sleep 60; echo STATUS:$?");
        signal_when_it_is_on(&terminal, &command, &before, signal);
        terminal.shows("the command's end", |screen| screen.contains(status));
        assert_eq!(Manners::of(&terminal), before, "after {signal:?} the terminal is as before");
    }
}

fn signal_when_it_is_on(terminal: &Terminal, command: &str, before: &Manners, signal: Signal) {
    terminal.say(command);
    let h2watch = wait_until(SOON, "h2watch takes over the screen", || {
        (terminal.modes() != before.0).then(|| terminal.foreground()).flatten()
    });
    signal_process(h2watch, signal);
    terminal.shows_the_shell();
}
