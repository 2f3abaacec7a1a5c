//! h2watch as a child process with `--output json`: its lines as they come, and its end.

use super::{tools, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A line and when it arrived here.
#[derive(Clone, Debug)]
pub(crate) struct Line<T> {
    /// CLOCK_MONOTONIC.
    pub(crate) at_ns: u64,
    pub(crate) content: T,
}

type Lines<T> = Arc<Mutex<Vec<Line<T>>>>;

/// A running h2watch. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    child: Child,
    lines: Lines<Value>,
    /// Standard error of h2watch, to which it moves what a COMMAND prints.
    errors: Lines<String>,
    readers: Vec<JoinHandle<()>>,
}

/// What h2watch left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) pid: u32,
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<Value>,
    pub(crate) errors: String,
}

/// Where many h2watch are started by many threads: the kernel verifies the programs for seconds, and waits for `ready` have a deadline.
pub(crate) fn one_at_a_time(start: impl FnOnce() -> Watch) -> Watch {
    static STARTING: Mutex<()> = Mutex::new(());
    let _turn = STARTING.lock().expect("a start that failed has ended the test");
    start()
}

/// `h2watch --output json OPTIONS`, not started yet.
pub(crate) fn command(options: &[&str]) -> Command {
    tools::require_root();
    let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
    command.args(["--output", "json"]).args(options);
    command
}

/// The command with this many descriptors until it asks for more, as a shell's `ulimit -Sn` does it.
pub(crate) fn with_descriptors(mut command: Command, limit: u64) -> Command {
    let limit = Rlimit { current: Some(limit), ..getrlimit(Resource::Nofile) };
    // SAFETY: prlimit(2) is async-signal-safe.
    unsafe { command.pre_exec(move || Ok(setrlimit(Resource::Nofile, limit)?)) };
    command
}

impl Watch {
    /// Starts h2watch with these options and waits until it is ready.
    pub(crate) fn start(options: &[&str]) -> Self {
        let watch = Self::spawn(command(options));
        watch.wait_until_ready();
        watch
    }

    /// Starts h2watch on a command: `words` is the program and its arguments.
    pub(crate) fn run(options: &[&str], words: &[String]) -> Self {
        let mut command = command(options);
        command.arg("--").args(words);
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("h2watch starts");
        let (lines, errors) = (Lines::default(), Lines::default());
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
        let readers = vec![
            follow(child.stdout.take().expect("piped"), &lines, parse),
            follow(child.stderr.take().expect("piped"), &errors, str::to_owned),
        ];
        Self { child, lines, errors, readers }
    }

    /// After this nothing is missed.
    pub(crate) fn wait_until_ready(&self) {
        self.wait_for(Duration::from_secs(20), "ready", |line| line["type"] == "ready");
    }

    /// The first line, of those that have come or come within `limit`, that `wanted` accepts.
    pub(crate) fn wait_for(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Line<Value> {
        self.wait_after(0, limit, what, wanted).1
    }

    /// Likewise among the lines from number `from` on; also gives the number of the line after it.
    pub(crate) fn wait_after(
        &self,
        from: usize,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> (usize, Line<Value>) {
        let mut at = from;
        let end = Instant::now() + limit;
        loop {
            let lines = self.lines.lock().unwrap();
            while let Some(line) = lines.get(at) {
                at += 1;
                if wanted(&line.content) {
                    return (at, line.clone());
                }
            }
            drop(lines);
            if Instant::now() > end {
                let tail = self.lines().iter().rev().take(3).map(ToString::to_string).collect::<Vec<_>>();
                panic!("no `{what}` line within {limit:?}; last lines: {tail:#?}; stderr: {}", self.errors());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The first line of standard error that begins with `prefix`, without it.
    pub(crate) fn wait_for_word(&self, limit: Duration, prefix: &str) -> String {
        wait_until(limit, &format!("`{prefix}` on standard error, which is {}", self.errors()), || {
            let errors = self.errors.lock().unwrap();
            errors
                .iter()
                .find_map(|line| line.content.strip_prefix(prefix).map(|rest| rest.trim().to_owned()))
        })
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().iter().map(|line| line.content.clone()).collect()
    }

    /// The lines from number `from` on, with their times.
    pub(crate) fn lines_from(&self, from: usize) -> Vec<Line<Value>> {
        self.lines.lock().unwrap().iter().skip(from).cloned().collect()
    }

    /// Number of lines so far.
    pub(crate) fn count(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// Standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.lock().unwrap().iter().map(|line| line.content.clone() + "\n").collect()
    }

    /// A snapshot that began after this call: the second one from now, because the next one may be under way.
    pub(crate) fn fresh_snapshot(&self) -> Value {
        let is_snapshot = |line: &Value| line["type"] == "snapshot";
        let (next, _) = self.wait_after(self.count(), Duration::from_secs(10), "snapshot", is_snapshot);
        self.wait_after(next, Duration::from_secs(10), "snapshot", is_snapshot).1.content
    }

    /// How long its main thread has wanted to run and was not let, since it started (`/proc/PID/schedstat`).
    pub(crate) fn kept_waiting(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let schedstat = std::fs::read_to_string(path).expect("h2watch runs");
        let waited_ns = schedstat.split(' ').nth(1).and_then(|field| field.parse().ok());
        Duration::from_nanos(waited_ns.expect("nanoseconds"))
    }

    /// How often its main thread went to sleep, since it started (`/proc/PID/status`).
    pub(crate) fn wake_ups(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.and_then(|count| count.trim().parse().ok()).expect("a count")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        signal_process(self.child.id(), signal);
    }

    /// A line for the COMMAND, which has h2watch's standard input.
    pub(crate) fn tell(&mut self, line: &str) {
        use std::io::Write;
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the command reads its input");
    }

    /// Ends h2watch as a user would.
    pub(crate) fn stop(self) -> Ended {
        self.signal(rustix::process::Signal::TERM);
        self.end(Duration::from_secs(10))
    }

    /// Waits for it to end by itself.
    pub(crate) fn end(mut self, limit: Duration) -> Ended {
        drop(self.child.stdin.take());
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < end, "h2watch did not end within {limit:?}; stderr: {}", self.errors());
            std::thread::sleep(Duration::from_millis(2));
        };
        for reader in self.readers.drain(..) {
            // A command that outlives h2watch holds the other end.
            wait_until(Duration::from_secs(5), "the end of what h2watch and its command print", || {
                reader.is_finished().then_some(())
            });
            reader.join().expect("h2watch prints JSON");
        }
        Ended { pid: self.child.id(), status, lines: self.lines(), errors: self.errors() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // After a failure: as a user would, so that the command and its cgroup go as well.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(rustix::process::Signal::TERM);
            let end = Instant::now() + Duration::from_secs(2);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Lines of one type.
    pub(crate) fn of(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["type"] == kind).collect()
    }

    /// The last line.
    pub(crate) fn summary(&self) -> &Value {
        let last =
            self.lines.last().unwrap_or_else(|| panic!("h2watch printed nothing; stderr: {}", self.errors));
        assert_eq!(last["type"], "summary", "the last line is the summary");
        last
    }

    /// The final counters of every connection, by its local address: from its `close` line, or from the last snapshot.
    pub(crate) fn connections(&self) -> BTreeMap<String, Value> {
        let open = self
            .of("snapshot")
            .last()
            .map(|last| last["connections"].as_array().cloned().unwrap_or_default());
        let closed = self.of("close").into_iter().map(|line| line["connection"].clone());
        let all = open.unwrap_or_default().into_iter().chain(closed);
        all.map(|connection| (text(&connection["local"]), connection)).collect()
    }

    /// What the command printed behind `CLIENT `, as JSON.
    pub(crate) fn client(&self) -> Value {
        let word = self.errors.lines().find_map(|line| line.split_once("CLIENT ").map(|(_, rest)| rest));
        let word = word.unwrap_or_else(|| panic!("the client printed no result: {}", self.errors));
        serde_json::from_str(word).expect("the client prints JSON")
    }
}

/// A JSON string's text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Sends a signal to one process.
pub(crate) fn signal_process(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process number");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// Lines of a file that h2watch wrote with `-o`.
pub(crate) fn lines_of(file: &Path) -> Vec<Value> {
    let written = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    written.lines().map(|line| serde_json::from_str(line).expect("h2watch writes JSON")).collect()
}

fn follow<T: Send + 'static>(
    source: impl Read + Send + 'static,
    into: &Lines<T>,
    parse: impl Fn(&str) -> T + Send + 'static,
) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            let at_ns = super::now_ns();
            let content = parse(&line);
            into.lock().unwrap().push(Line { at_ns, content });
        }
    })
}
