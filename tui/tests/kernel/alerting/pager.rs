//! Prometheus, Alertmanager and the receiver of what they say, on free ports of loopback.

use crate::support::exporter::get;
use crate::support::tools::{program, workspace};
use crate::support::wait_until;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SOON: Duration = Duration::from_secs(60);

/// Both programs; they end with this.
#[derive(Debug)]
pub(super) struct Pager {
    prometheus: SocketAddr,
    programs: [Child; 2],
    _folder: tempfile::TempDir,
}

impl Pager {
    /// Starts both and waits until the exporter was scraped.
    pub(super) fn start(exporter: SocketAddr, hook: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (prometheus, alertmanager) = (free_address(), free_address());
        let programs = [
            start_alertmanager(folder.path(), alertmanager, hook),
            start_prometheus(folder.path(), prometheus, alertmanager, exporter),
        ];
        let query = format!("/api/v1/query?query=up%7Binstance%3D%22{exporter}%22%7D%3D%3D1");
        wait_until(SOON, "Prometheus scrapes the exporter", || {
            // It may not listen yet.
            get(prometheus, &query).ok()?.contains("\"instance\"").then_some(())
        });
        wait_until(SOON, "Alertmanager is ready", || get(alertmanager, "/-/ready").ok());
        Self { prometheus, programs, _folder: folder }
    }

    /// The exemplars that Prometheus kept of the damage counter, as JSON.
    pub(super) fn exemplars(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let metric = "h2watch_streams_opened_while_stalled_total";
        let times = format!("start={}&end={}", now - 600, now + 600);
        get(self.prometheus, &format!("/api/v1/query_exemplars?query={metric}&{times}")).expect("an answer")
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// The receiver. Calls that were not waited for yet are kept: which of two alerts comes first is nobody's promise.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) address: SocketAddr,
    receiver: Receiver<Value>,
    kept: Vec<Value>,
}

impl Webhook {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let Some(body) = posted(&mut stream) else { continue };
                let call: Value = serde_json::from_slice(&body).expect("Alertmanager posts JSON");
                for alert in call["alerts"].as_array().into_iter().flatten() {
                    let _ = sender.send(alert.clone());
                }
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { address, receiver, kept: Vec::new() }
    }

    /// What came and was not waited for.
    pub(super) fn calls(&mut self) -> Vec<Value> {
        self.kept.extend(self.receiver.try_iter());
        self.kept.clone()
    }

    /// The first call of this alert in this state.
    pub(super) fn wait_for(&mut self, name: &str, status: &str, limit: Duration) -> Value {
        let end = Instant::now() + limit;
        let wanted = |alert: &Value| alert["labels"]["alertname"] == name && alert["status"] == status;
        loop {
            if let Some(at) = self.kept.iter().position(wanted) {
                return self.kept.remove(at);
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(alert) => self.kept.push(alert),
                Err(_) => panic!("{name} was not {status} within {limit:?}; other calls: {:#?}", self.kept),
            }
        }
    }
}

fn posted(stream: &mut TcpStream) -> Option<Vec<u8>> {
    stream.set_read_timeout(Some(SOON)).ok()?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length: usize =
                head.lines().find_map(|l| l.strip_prefix("content-length: "))?.parse().ok()?;
            if bytes.len() >= end + 4 + length {
                return Some(bytes.split_off(end + 4));
            }
        }
        match stream.read(&mut piece).ok()? {
            0 => return None,
            n => bytes.extend_from_slice(&piece[..n]),
        }
    }
}

/// Prometheus's own linter on a real exposition.
pub(super) fn lint(exposition: &str) {
    let mut promtool = Command::new(program("promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool starts");
    promtool.stdin.take().expect("piped").write_all(exposition.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("a child");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket")
}

fn start_alertmanager(folder: &Path, listen: SocketAddr, hook: SocketAddr) -> Child {
    let config = folder.join("alertmanager.yml");
    let text = format!(
        "route:\n  receiver: hook\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n  repeat_interval: 1h\n\
         receivers:\n  - name: hook\n    webhook_configs:\n      - url: http://{hook}/\n        send_resolved: true\n"
    );
    fs::write(&config, text).expect("a temporary file");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.path={}", folder.join("alertmanager").display()),
        format!("--web.listen-address={listen}"),
        "--cluster.listen-address=".to_owned(),
    ];
    spawn("prometheus-alertmanager", &arguments, &folder.join("alertmanager.log"))
}

/// Scrapes every second. Evaluates twice as often: the rules' own times are what is measured, not the wait for the next look.
fn start_prometheus(
    folder: &Path,
    listen: SocketAddr,
    alertmanager: SocketAddr,
    exporter: SocketAddr,
) -> Child {
    let config = folder.join("prometheus.yml");
    let rules = workspace().join("deploy/prometheus/h2watch.rules.yml");
    let text = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 500ms\n\
         rule_files:\n  - {}\n\
         alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: ['{alertmanager}']\n\
         scrape_configs:\n  - job_name: h2watch\n    static_configs:\n      - targets: ['{exporter}']\n",
        rules.display()
    );
    fs::write(&config, text).expect("a temporary file");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("tsdb").display()),
        format!("--web.listen-address={listen}"),
        "--enable-feature=exemplar-storage".to_owned(),
    ];
    spawn("prometheus", &arguments, &folder.join("prometheus.log"))
}

fn spawn(name: &str, arguments: &[String], log: &Path) -> Child {
    let log = File::create(log).expect("a temporary file");
    let mut command = Command::new(program(name));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"))
}
