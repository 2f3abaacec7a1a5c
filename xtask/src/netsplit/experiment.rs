//! One run of the experiment: server and link, client in a cgroup of its own, h2watch beside it or not.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::beside::Beside;
use super::table::Row;
use super::{Options, Variant};

/// Loading the probe takes under a second; a busy machine gets its time.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A process that is ended when the run ends, however it ends.
pub(super) struct Ended(pub(super) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(
    program: &Path,
    h2watch: Option<&Path>,
    variant: Variant,
    options: &Options,
) -> Result<Row> {
    let folder = Folder::new()?;
    let (control, authority) = (folder.path.join("control"), folder.path.join("authority.pem"));
    let mut serve = Command::new(program);
    serve.arg("serve").arg("-control").arg(&control).arg("-authority").arg(&authority);
    serve.args(protocol(variant, options));
    let mut server = Ended(serve.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the server")?);
    let address = first_line(&mut reader(&mut server.0)?).context("the server's address")?;

    let cgroup = Cgroup::new()?;
    let mut client =
        Ended(client(program, &cgroup, variant, options, [&address, path(&authority)?, path(&control)?])?);
    let mut from_client = reader(&mut client.0)?;
    if first_line(&mut from_client)? != "ready" {
        bail!("the client did not get ready: its stderr is above");
    }
    let watch = match h2watch.filter(|_| variant.watched) {
        Some(h2watch) => Some(watch(h2watch, client.0.id(), options, &folder.path)?),
        None => None,
    };
    let beside = if options.beside { Some(Beside::start(program, &cgroup, &folder.path)?) } else { None };
    let mut go = client.0.stdin.take().context("the client's stdin")?;
    writeln!(go).context("the client does not listen")?;
    let result =
        serde_json::from_str(&first_line(&mut from_client)?).context("the client's result is no JSON")?;
    if let Some(beside) = beside {
        beside.end()?;
    }
    let lines = watch.map(Watch::finish).transpose()?.unwrap_or_default();
    Ok(Row { variant, result, lines, stall_after: options.stall_after.clone() })
}

/// The flag of both programs; without one it is HTTP/2 over TLS.
fn protocol(variant: Variant, options: &Options) -> Option<&'static str> {
    match (variant.http1, options.h2c) {
        (true, _) => Some("-http1"),
        (false, true) => Some("-h2c"),
        (false, false) => None,
    }
}

fn client(
    program: &Path,
    cgroup: &Cgroup,
    variant: Variant,
    options: &Options,
    [address, authority, control]: [&str; 3],
) -> Result<Child> {
    let mut command = cgroup.enter();
    command.arg(program);
    command.args(["client", "-wait", "-address", address, "-authority", authority, "-control", control]);
    let numbers = [
        ("-requests", options.requests),
        ("-first", options.first),
        ("-every", options.every),
        ("-workers", options.workers),
    ];
    for (flag, number) in numbers {
        command.arg(flag).arg(number.to_string());
    }
    command.arg("-timeout").arg(&options.timeout);
    command.args(protocol(variant, options));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the client")
}

/// h2watch beside the client, writing lines to a file.
struct Watch {
    process: Ended,
    lines: PathBuf,
}

/// Settings for a world of 10 ms, the same for every client: one unanswered stream is enough, no minimum age, no cool-down,
/// a large budget. What is left against wrong resets: the fresh look, and the hold after this machine stood still.
fn watch(h2watch: &Path, pid: u32, options: &Options, folder: &Path) -> Result<Watch> {
    let lines = folder.join("lines.jsonl");
    let mut command = Command::new(h2watch);
    command.arg("--pid").arg(pid.to_string());
    command.args(["--stall-after", &options.stall_after, "--min-streams", "1", "--reset", "auto"]);
    // The peer may delay its ACK for 40 ms: before, silence is all the evidence that there can be.
    command.args(["--reset-causes", "black_hole,silent_peer,unknown"]);
    command.args(["--reset-after", "0s", "--reset-cool-down", "0s"]);
    let budget = format!("{}/min", options.budget);
    command.args(["--reset-budget", &budget, "--reset-budget-total", &budget]);
    command.args(["--interval", "10s", "--output", "json", "-o"]).arg(&lines);
    let process = Ended(command.stdin(Stdio::null()).spawn().context("cannot start h2watch")?);
    let mut watch = Watch { process, lines };
    let began = Instant::now();
    while !watch.read()?.iter().any(|line| line["type"] == "ready") {
        if let Some(status) = watch.process.0.try_wait()? {
            bail!("h2watch ended before it was ready ({status}); see above");
        }
        if began.elapsed() > READY_WITHIN {
            bail!("h2watch was not ready within {READY_WITHIN:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(watch)
}

impl Watch {
    fn read(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(&self.lines).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
            .collect()
    }

    /// Asks h2watch to end, and gives all of its lines.
    fn finish(mut self) -> Result<Vec<Value>> {
        let pid = self.process.0.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().context("cannot start kill")?;
        self.process.0.wait().context("h2watch did not end")?;
        self.read()
    }
}

/// A cgroup for the client, so that the probe is attached to nothing else; removed at the end.
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Words before a command that make it run inside.
    pub(super) fn enter(&self) -> Command {
        let mut command = Command::new("sh");
        // The shell moves itself into the cgroup and becomes the program.
        command.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(&self.path);
        command
    }

    fn new() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
        let mount = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|words| words[2] == "cgroup2");
        let mount = mount.context("no cgroup v2 hierarchy is mounted")?[1].to_owned();
        let path = Path::new(&mount).join(format!("h2watch-netsplit-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make the cgroup {}: run it as root", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It is empty once the client has been waited for.
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// A folder for sockets and files of one run.
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

impl Folder {
    pub(super) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("h2watch-netsplit-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

pub(super) fn reader(child: &mut Child) -> Result<BufReader<ChildStdout>> {
    Ok(BufReader::new(child.stdout.take().context("stdout is not piped")?))
}

pub(super) fn first_line(reader: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line).context("cannot read a line")?;
    if line.is_empty() {
        bail!("the program ended without a line; its stderr is above");
    }
    Ok(line.trim_end().to_owned())
}

pub(super) fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
