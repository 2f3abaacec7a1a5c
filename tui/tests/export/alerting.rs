//! From a stalled connection to a page: a real Prometheus scrapes the exporter every second, evaluates the rules of deploy/,
//! and a real Alertmanager calls a webhook. Needs the Debian packages prometheus and prometheus-alertmanager.

use crate::synthetic::{SECOND, Served, connection, named, snapshot, stalled};
use h2watch::export::{Exporter, HttpLimits};
use h2watch::model::snapshot::{Change, Connection};
use h2watch::verdict::Cause;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// `for` of H2ConnectionBlackholed in deploy/prometheus/h2watch.rules.yml, and what may come on top of it.
const FOR: Duration = Duration::from_secs(30);
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs prometheus and alertmanager, takes a minute; run by cargo xtask deploy-check"]
async fn an_unplugged_connection_pages_in_time_and_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(HttpLimits::default()).await;
    let (hook, mut calls) = webhook().await;
    let (prometheus, alertmanager) = (free_port().await, free_port().await);
    let (dead, is_dead) = watch::channel(false);
    let feeder = tokio::spawn(feed(served.exporter.clone(), is_dead));
    let _alertmanager = start_alertmanager(folder.path(), alertmanager, hook);
    let _prometheus = start_prometheus(folder.path(), prometheus, alertmanager, served.address);
    until_scraped(prometheus, served.address).await;
    assert!(calls.receiver.try_recv().is_err(), "no alert while all is well");

    let unplugged = Instant::now();
    dead.send(true).unwrap();
    let page = calls.next("H2ConnectionBlackholed", "firing").await;
    let raised = unplugged.elapsed();
    assert!(raised >= FOR && raised <= FOR + SLACK, "raised after {raised:?}");
    let labels = &page["labels"];
    assert_eq!(labels["comm"], "api");
    assert_eq!(labels["destination"], "payments.example.com");
    assert_eq!(labels["cause"], "black_hole");
    assert_eq!(labels["severity"], "critical");
    assert_eq!(labels["instance"], served.address.to_string());
    assert!(page["annotations"]["runbook_url"].as_str().unwrap().ends_with("docs/verdicts.md#black_hole"));
    // The pool went on feeding it, and that pages too.
    calls.next("H2PoolFeedingDeadConnection", "firing").await;

    assert!(exemplars(prometheus).await.contains("\"connection_id\":\"7\""), "scraped as OpenMetrics");

    let plugged = Instant::now();
    dead.send(false).unwrap();
    calls.next("H2ConnectionBlackholed", "resolved").await;
    println!("raised {raised:?} after the stall (for {FOR:?}), resolved after {:?}", plugged.elapsed());
    assert!(plugged.elapsed() < Duration::from_secs(15), "resolved after {:?}", plugged.elapsed());
    feeder.abort();
}

/// Ten snapshots a second; while the connection is dead each one brings a stream more.
async fn feed(exporter: Exporter, mut is_dead: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let (start, mut damage, mut since_ns) = (Instant::now(), 0, None);
    let fine = || -> Connection { named(connection(7, "api", 1), "payments.example.com") };
    loop {
        tick.tick().await;
        let now_ns = SECOND + u64::try_from(start.elapsed().as_nanos()).unwrap();
        let mut changes = Vec::new();
        let mut present = if *is_dead.borrow_and_update() {
            damage += 1;
            let newly = since_ns.is_none();
            let bad = stalled(fine(), Cause::BlackHole, *since_ns.get_or_insert(now_ns), damage);
            changes.extend(newly.then(|| Change::Stalled(Box::new(bad.clone()))));
            bad
        } else {
            since_ns.take().inspect(|since| {
                changes.push(Change::Recovered { connection: Box::new(fine()), stalled_ns: now_ns - since });
            });
            fine()
        };
        present.damage = damage;
        exporter.observe(snapshot(now_ns, vec![present]), &changes);
    }
}

/// The calls of the webhook. Those that were not waited for yet are kept: which of two alerts comes first is nobody's promise.
struct Calls {
    receiver: mpsc::UnboundedReceiver<Value>,
    kept: Vec<Value>,
}

impl Calls {
    async fn next(&mut self, name: &str, status: &str) -> Value {
        let wanted = |alert: &Value| alert["labels"]["alertname"] == name && alert["status"] == status;
        let search = async {
            loop {
                if let Some(at) = self.kept.iter().position(wanted) {
                    return self.kept.remove(at);
                }
                self.kept.push(self.receiver.recv().await.expect("the webhook lives"));
            }
        };
        let found = timeout(Duration::from_secs(120), search).await;
        found.unwrap_or_else(|_| panic!("{name} never was {status}; other calls: {:#?}", self.kept))
    }
}

/// Receives what Alertmanager posts: one alert at a time into the channel.
async fn webhook() -> (SocketAddr, Calls) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let send = send.clone();
            tokio::spawn(async move {
                let Some(body) = posted(&mut stream).await else { return };
                let call: Value = serde_json::from_slice(&body).expect("Alertmanager posts JSON");
                for alert in call["alerts"].as_array().into_iter().flatten() {
                    let _ = send.send(alert.clone());
                }
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
            });
        }
    });
    (address, Calls { receiver, kept: Vec::new() })
}

async fn posted(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length: usize =
                head.lines().find_map(|l| l.strip_prefix("content-length: "))?.parse().ok()?;
            if bytes.len() >= end + 4 + length {
                return Some(bytes.split_off(end + 4));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port()
}

fn start_alertmanager(folder: &Path, port: u16, hook: SocketAddr) -> Child {
    let config = folder.join("alertmanager.yml");
    let text = format!(
        "route:\n  receiver: hook\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n  repeat_interval: 1h\n\
         receivers:\n  - name: hook\n    webhook_configs:\n      - url: http://{hook}/\n        send_resolved: true\n"
    );
    std::fs::write(&config, text).unwrap();
    spawn(
        Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address="),
        &folder.join("alertmanager.log"),
    )
}

fn start_prometheus(folder: &Path, port: u16, alertmanager: u16, exporter: SocketAddr) -> Child {
    let rules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/h2watch.rules.yml");
    let rules = rules.canonicalize().unwrap();
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\n\
         rule_files:\n  - {}\n\
         alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: ['127.0.0.1:{alertmanager}']\n\
         scrape_configs:\n  - job_name: h2watch\n    static_configs:\n      - targets: ['{exporter}']\n",
        rules.display()
    );
    std::fs::write(&config, text).unwrap();
    spawn(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage"),
        &folder.join("prometheus.log"),
    )
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = std::fs::File::create(log).unwrap();
    command.stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; Debian packages prometheus, prometheus-alertmanager")
    })
}

/// The exemplars that Prometheus kept of the damage counter, as JSON.
async fn exemplars(prometheus: u16) -> String {
    let address = SocketAddr::from(([127, 0, 0, 1], prometheus));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let query = format!(
        "/api/v1/query_exemplars?query=h2watch_streams_opened_while_stalled_total&start={}&end={}",
        now - 600,
        now + 600
    );
    crate::client::get(address, &query).await.body
}

/// Waits until Prometheus has scraped the exporter without an error.
async fn until_scraped(prometheus: u16, exporter: SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], prometheus));
    let query = format!("/api/v1/query?query=up%7Binstance%3D%22{exporter}%22%7D%3D%3D1");
    let ready = async {
        loop {
            // Prometheus may not listen yet.
            if TcpStream::connect(address).await.is_ok() {
                let answer = crate::client::get(address, &query).await;
                if answer.body.contains("\"instance\"") {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(Duration::from_secs(60), ready).await.expect("Prometheus scrapes the exporter");
}
