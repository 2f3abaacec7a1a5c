//! `h2watch export` as a child process, and what it serves.

use super::{tools, wait_until};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Long, because the first look at a program may have to read a debug build of 100 MB and more.
const SOON: Duration = Duration::from_secs(60);

/// A running exporter. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Exporter {
    child: Child,
    address: SocketAddr,
    /// What it has printed, with both outputs in one.
    log: Arc<Mutex<String>>,
}

impl Exporter {
    /// Starts it on a free port and waits until it listens: then it is attached.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_with(options, |_| {})
    }

    pub(crate) fn start_with(options: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
        prepare(&mut command);
        Self::spawn(command, options)
    }

    /// Likewise, as an ordinary user with these capabilities (`bpf`, `perfmon`) and no way to get others.
    pub(crate) fn start_as_user(
        capabilities: &[String],
        options: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = as_user(capabilities);
        prepare(&mut command);
        Self::spawn(command, options)
    }

    fn spawn(mut command: Command, options: &[&str]) -> Self {
        tools::require_root();
        let mut child = command
            .args(["export", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("h2watch starts");
        let log = Arc::new(Mutex::new(String::new()));
        follow(child.stdout.take().expect("piped"), &log);
        follow(child.stderr.take().expect("piped"), &log);
        let address = wait_until(SOON, "the exporter listens", || {
            let text = log.lock().unwrap();
            assert!(matches!(child.try_wait(), Ok(None)), "the exporter ended: {text}");
            text.lines().find_map(|line| line.split_once("http://")?.1.parse().ok())
        });
        Self { child, address, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The exposition.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics(get(self.address, "/metrics").expect("the exporter answers"))
    }

    /// Waits until the sum of a metric's series with all of these labels is `wanted`.
    pub(crate) fn wait_for(&self, name: &str, labels: &[&str], wanted: impl Fn(f64) -> bool) -> f64 {
        let end = Instant::now() + SOON;
        loop {
            let metrics = self.metrics();
            let sum = metrics.sum(name, labels);
            if wanted(sum) {
                return sum;
            }
            assert!(
                Instant::now() < end,
                "{name} {labels:?} is {sum} after {SOON:?}; log: {}\n{}",
                self.log(),
                metrics.0
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What each of its threads may do.
    pub(crate) fn threads(&self) -> Vec<Thread> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the exporter runs");
        let read = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let mask = |name| u64::from_str_radix(field(name)?, 16).ok();
            Some(Thread {
                name: field("Name:")?.to_owned(),
                permitted: mask("CapPrm:")?,
                effective: mask("CapEff:")?,
                inheritable: mask("CapInh:")?,
                ambient: mask("CapAmb:")?,
                bounding: mask("CapBnd:")?,
                no_new_privileges: field("NoNewPrivs:")? == "1",
            })
        };
        tasks.flatten().filter_map(read).collect()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        resident_bytes(self.pid())
    }

    /// How many entries a map of its kernel programs has, as bpftool counts them.
    pub(crate) fn map_entries(&self, name: &str) -> usize {
        let descriptors = fs::read_dir(format!("/proc/{}/fdinfo", self.pid())).expect("the exporter runs");
        for descriptor in descriptors.flatten() {
            let info = fs::read_to_string(descriptor.path()).unwrap_or_default();
            let Some(id) = info.lines().find_map(|line| line.strip_prefix("map_id:")) else { continue };
            let shown = tools::run("bpftool", &["-j", "map", "show", "id", id.trim()]);
            let shown: serde_json::Value = serde_json::from_str(&shown).expect("bpftool prints JSON");
            if shown["name"] == name {
                let dump = tools::run("bpftool", &["-j", "map", "dump", "id", id.trim()]);
                let dump: serde_json::Value = serde_json::from_str(&dump).expect("bpftool prints JSON");
                return dump.as_array().expect("a list of entries").len();
            }
        }
        panic!("the exporter has no map {name}");
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        super::watch::signal_process(self.pid(), signal);
    }

    /// Ends it as systemd would.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        wait_until(Duration::from_secs(10), "the exporter ends", || self.child.try_wait().expect("a child"))
    }
}

/// h2watch without arguments yet, as systemd would start it with `AmbientCapabilities`, `CapabilityBoundingSet` and `NoNewPrivileges`.
pub(crate) fn as_user(capabilities: &[String]) -> Command {
    let added: Vec<String> = capabilities.iter().map(|name| format!("+{name}")).collect();
    let added = added.join(",");
    let mut command = Command::new(tools::program("setpriv"));
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"]);
    command.args(["--bounding-set", &format!("-all,{added}")]);
    command.args(["--inh-caps", &added, "--ambient-caps", &added]);
    command.arg(env!("CARGO_BIN_EXE_h2watch"));
    command
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `/proc/PID/task/TID/status` says of a thread's rights; capabilities as bits, see `capabilities(7)`.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) name: String,
    pub(crate) permitted: u64,
    pub(crate) effective: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
    pub(crate) bounding: u64,
    pub(crate) no_new_privileges: bool,
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("VmRSS in kB") * 1024
}

/// Asks an HTTP server on loopback; the body of its answer 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    // HTTP/1.0: no pieces (RFC 9112, section 7.1), and the end of the connection is the end of the answer.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: h2watch\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(answer)),
    }
}

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// Sum of the series of a metric that have all of these labels, each as `name="value"`.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.values(name, labels).iter().sum()
    }

    /// Likewise, each by itself.
    pub(crate) fn values(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        self.0
            .lines()
            .filter(|line| {
                let rest = line.strip_prefix(name).unwrap_or_default();
                rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect()
    }
}

fn follow(source: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}
