//! A client that keeps going: `steady INTERVAL-MS TIMEOUT-MS PATH ADDRESS...`, one connection per address (repeat an address
//! for more). Each opens a stream per interval and cancels what has no answer after the timeout: the pool of the bug.
//!
//! Standard input: `pause` ends the flow (says `PAUSED n`, streams opened so far), `burst N` sends N requests of many sizes
//! over each connection (says `BURST n`), `resume` goes on. When a connection hears nothing for `SILENT_AFTER`, it says
//! `SILENT server-address nanoseconds`: when (CLOCK_MONOTONIC) the first stream was opened since it last heard anything;
//! `HEARD server-address` when it hears something again.

use crate::support::servers::send_body;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;

const SILENT_AFTER: Duration = Duration::from_millis(150);

/// What this client can say of one of its connections.
struct Connection {
    server: SocketAddr,
    client: SendRequest<Bytes>,
    opened: AtomicU64,
    in_flight: AtomicU64,
    /// When the first stream was opened since anything was heard, and whether that was said.
    first_ns: Mutex<Option<(u64, bool)>>,
}

struct Plan {
    interval: Duration,
    timeout: Duration,
    path: String,
    flowing: AtomicBool,
}

pub(super) fn play(arguments: &[&str]) {
    let milliseconds = |word: &str| Duration::from_millis(word.parse().expect("a number of milliseconds"));
    let plan = Plan {
        interval: milliseconds(arguments[0]),
        timeout: milliseconds(arguments[1]),
        path: arguments[2].to_owned(),
        flowing: AtomicBool::new(true),
    };
    let addresses = arguments[3..].iter().map(|word| word.parse().expect("an address")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tokio::task::LocalSet::new().run_until(run(plan, addresses)));
}

async fn run(plan: Plan, addresses: Vec<SocketAddr>) {
    // Both live as long as the process: no reference counts are needed.
    let plan: &'static Plan = Box::leak(Box::new(plan));
    let mut connections: Vec<&'static Connection> = Vec::new();
    for address in addresses {
        let connection: &'static Connection = Box::leak(Box::new(connect(address).await));
        connections.push(connection);
        tokio::task::spawn_local(flow(plan, connection));
    }
    println!("\nCONNECTED {}", connections.len());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        obey(&line, plan, &connections).await;
    }
    // Nobody gives orders (the dashboard keeps the terminal to itself).
    std::future::pending::<()>().await;
}

async fn obey(line: &str, plan: &'static Plan, connections: &[&'static Connection]) {
    let opened = || connections.iter().map(|c| c.opened.load(Ordering::Relaxed)).sum::<u64>();
    match line.split_once(' ').unwrap_or((line, "")) {
        ("pause", _) => {
            plan.flowing.store(false, Ordering::Relaxed);
            while connections.iter().any(|c| c.in_flight.load(Ordering::Relaxed) > 0) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            println!("PAUSED {}", opened());
        }
        ("burst", n) => {
            let mut all = JoinSet::new();
            for connection in connections {
                all.spawn_local(burst(plan, connection, n.parse().expect("a number of requests")));
            }
            all.join_all().await;
            println!("BURST {}", opened());
        }
        ("resume", _) => plan.flowing.store(true, Ordering::Relaxed),
        _ => panic!("{line}: not understood"),
    }
}

async fn connect(server: SocketAddr) -> Connection {
    let socket = tokio::net::TcpStream::connect(server).await.expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    let mut builder = h2::client::Builder::new();
    builder
        .max_concurrent_reset_streams(1000)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 22);
    let (client, connection) = builder.handshake(socket).await.expect("HTTP/2");
    tokio::task::spawn_local(async move {
        if let Err(e) = connection.await {
            println!("\nBROKEN {server} {e}");
        }
    });
    Connection {
        server,
        client,
        opened: AtomicU64::new(0),
        in_flight: AtomicU64::new(0),
        first_ns: Mutex::new(None),
    }
}

async fn flow(plan: &'static Plan, connection: &'static Connection) {
    let mut ticks = tokio::time::interval(plan.interval);
    loop {
        ticks.tick().await;
        if plan.flowing.load(Ordering::Relaxed) {
            tokio::task::spawn_local(request(plan, connection, plan.path.clone(), 0));
        }
    }
}

async fn burst(plan: &'static Plan, connection: &'static Connection, requests: u64) {
    for i in 0..requests {
        let size = i * i % 40_000;
        let upload = if i % 4 == 0 { usize::try_from(size).expect("small") } else { 0 };
        request(plan, connection, format!("/bytes/{size}"), upload).await;
    }
}

async fn request(plan: &'static Plan, connection: &'static Connection, path: String, upload: usize) {
    connection.in_flight.fetch_add(1, Ordering::Relaxed);
    let _ = tokio::time::timeout(plan.timeout, exchange(connection, &path, upload)).await;
    connection.in_flight.fetch_sub(1, Ordering::Relaxed);
}

async fn exchange(connection: &'static Connection, path: &str, upload: usize) -> Result<(), h2::Error> {
    let mut client = connection.client.clone().ready().await?;
    let request = Request::builder().uri(format!("http://test{path}")).body(()).expect("a valid request");
    let (response, mut body) = client.send_request(request, upload == 0)?;
    connection.note_opened();
    if upload > 0 {
        send_body(&mut body, upload, true).await?;
    }
    let mut body = response.await?.into_body();
    connection.note_heard();
    while let Some(data) = body.data().await {
        connection.note_heard();
        body.flow_control().release_capacity(data?.len())?;
    }
    Ok(())
}

impl Connection {
    fn note_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let now_ns = crate::support::now_ns();
        let mut first = self.first_ns.lock().unwrap();
        match *first {
            None => *first = Some((now_ns, false)),
            Some((since_ns, false)) if now_ns - since_ns > SILENT_AFTER.as_nanos() as u64 => {
                *first = Some((since_ns, true));
                println!("\nSILENT {} {since_ns}", self.server);
            }
            Some(_) => {}
        }
    }

    fn note_heard(&self) {
        if let Some((_, true)) = self.first_ns.lock().unwrap().take() {
            println!("\nHEARD {}", self.server);
        }
    }
}
