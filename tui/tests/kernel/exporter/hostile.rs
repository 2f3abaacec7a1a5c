//! Slow, greedy and broken clients of the real exporter, all at once: it goes on serving, its memory is bounded, and it ends when
//! it is told to.

use crate::support::exporter::{Exporter, get};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What memory may grow by. `/connections` is 15 MB with 10,000 connections, slow readers hold up to four copies of it, and one more
/// is being written. A copy for each of the 120 clients that read nothing would be 1.8 GB.
const MAY_GROW_BYTES: u64 = 256 << 20;
/// With all places taken, a newcomer waits until the oldest client has had its second.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

/// Every kind of siege, those that sit there staying to the end, with an honest scrape after each.
pub(super) fn besiege(exporter: &Exporter) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (before, peak) = (exporter.resident_bytes(), Peak::of(exporter.pid()));
    let address = exporter.address();
    runtime.block_on(async {
        let slow = crowd(address, 1000, b"GET /metrics HTTP/1.1\r\nX-Slow: ").await;
        serves(exporter, "with 1000 headers that never end");
        let mut greedy = Vec::new();
        for _ in 0..3 {
            greedy.extend(crowd(address, 40, b"GET /connections HTTP/1.1\r\nHost: x\r\n\r\n").await);
            // The next ones get another copy.
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        serves(exporter, "with 120 clients that read nothing");
        let large = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 1 << 20]].concat();
        let large = crowd(address, 100, &large).await;
        serves(exporter, "with 100 headers of 1 MiB");
        let noise: Vec<u8> = (0..1_u32 << 16).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let noise = crowd(address, 200, &noise).await;
        serves(exporter, "with 200 times 64 KiB of noise");
        exporter.signal(Signal::HUP);
        assert_eq!(scrapes(address, 1000).await, 1000, "scrapes at once, answered in full");
        serves(exporter, "after 1000 scrapes at once and SIGHUP");
        drop((slow, greedy, large, noise));
    });
    let grown = peak.stop().saturating_sub(before);
    println!("{before} bytes resident before the siege, at most {grown} more during it");
    assert!(grown < MAY_GROW_BYTES, "{grown} bytes more");
    let evicted = exporter.metrics().sum("h2watch_http_connections_evicted_total", &[]);
    assert!(evicted > 0.0, "there was room for everyone: no siege");
}

/// Told to end in the middle of scrapes, it finishes what it has begun.
pub(super) fn end_under_load(exporter: Exporter) {
    let address = exporter.address();
    let (sender, first) = std::sync::mpsc::channel();
    let scraper = std::thread::spawn(move || {
        let mut answered = 0;
        loop {
            match get(address, "/metrics") {
                Ok(metrics) => {
                    assert!(metrics.contains("h2watch_http_connections_evicted_total"), "{metrics}");
                }
                // Refused, reset while it waited in the backlog, or closed before it was read: nothing was begun.
                Err(error) if error.kind() != std::io::ErrorKind::Other => return answered,
                Err(error) if error.to_string().is_empty() => return answered,
                Err(error) => panic!("half an answer: {error}"),
            }
            answered += 1;
            let _ = sender.send(());
        }
    });
    first.recv_timeout(PATIENCE).expect("a scrape is answered");
    assert_eq!(exporter.stop().code(), Some(0));
    println!("{} scrapes were answered before it ended", scraper.join().expect("whole answers only"));
}

/// Connections that have sent all of `bytes`, or as much as was taken from them.
async fn crowd(address: SocketAddr, n: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let bytes: Arc<[u8]> = bytes.into();
    let mut clients = JoinSet::new();
    for _ in 0..n {
        let bytes = Arc::clone(&bytes);
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            // It may hang up in the middle, and must not wait for more than it can take.
            let _ = timeout(Duration::from_secs(2), stream.write_all(&bytes)).await;
            stream
        });
    }
    clients.join_all().await
}

/// How many of `n` scrapes that begin together get a whole answer.
async fn scrapes(address: SocketAddr, n: usize) -> usize {
    let mut clients = JoinSet::new();
    for _ in 0..n {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").await?;
            let mut answer = String::new();
            timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
            Ok::<_, std::io::Error>(answer)
        });
    }
    let whole = |answer: &String| answer.contains("h2watch_build_info");
    clients.join_all().await.iter().flatten().filter(|answer| whole(answer)).count()
}

fn serves(exporter: &Exporter, when: &str) {
    let started = Instant::now();
    let metrics = exporter.metrics();
    println!("{when}: a scrape takes {:.1?}", started.elapsed());
    assert!(metrics.0.contains("h2watch_build_info"), "{when}: {}", metrics.0);
    assert!(started.elapsed() < SERVED_WITHIN, "{when}: {:?}", started.elapsed());
}

/// The most resident memory that was seen.
struct Peak {
    bytes: Arc<AtomicU64>,
    watcher: JoinHandle<()>,
}

impl Peak {
    fn of(pid: u32) -> Self {
        let bytes = Arc::<AtomicU64>::default();
        let shared = Arc::downgrade(&bytes);
        let watcher = std::thread::spawn(move || {
            while let Some(bytes) = shared.upgrade() {
                bytes.fetch_max(crate::support::exporter::resident_bytes(pid), Ordering::Relaxed);
                drop(bytes);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { bytes, watcher }
    }

    fn stop(self) -> u64 {
        let most = self.bytes.load(Ordering::Relaxed);
        drop(self.bytes);
        self.watcher.join().expect("the exporter runs");
        most
    }
}
