//! Slow, greedy and broken clients, crowds, and the end of the server: it keeps serving and its memory stays bounded.

use crate::client::{Answer, DEADLINE, get, raw, read};
use crate::synthetic::{SECOND, Served, connection, exporter, snapshot};
use h2watch::export::HttpLimits;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

fn quick() -> HttpLimits {
    HttpLimits {
        header_timeout: Duration::from_millis(300),
        write_timeout: Duration::from_millis(300),
        ..HttpLimits::default()
    }
}

async fn served(limits: HttpLimits) -> Served {
    let served = Served::start(limits).await;
    let connections = (0..10_000).map(|id| connection(id, "api", u32::try_from(id).unwrap() % 500));
    served.exporter.observe(snapshot(SECOND, connections.collect()), &[]);
    served
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut() {
    let served = served(quick()).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
    let started = Instant::now();
    let answer = read(&mut slow).await;
    assert!(answer.is_none_or(|a| a.status == 408), "no metrics for half a request");
    assert!(started.elapsed() >= Duration::from_millis(250) && started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn slowloris_does_not_keep_a_scrape_out() {
    let limits =
        HttpLimits { connections: 16, header_timeout: Duration::from_secs(60), ..HttpLimits::default() };
    let served = served(limits).await;
    let mut crowd = Vec::new();
    for _ in 0..64 {
        let mut slow = TcpStream::connect(served.address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        crowd.push(slow);
    }
    let started = Instant::now();
    let answer = get(served.address, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop(crowd);
}

#[tokio::test]
async fn oversized_headers_are_refused() {
    let served = served(HttpLimits::default()).await;
    let large = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    let answer = raw(served.address, large.as_bytes()).await;
    assert!(answer.is_none_or(|a| a.status == 431), "1 MiB of header");
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500));
    let answer = raw(served.address, many.as_bytes()).await;
    assert!(answer.is_none_or(|a| a.status == 431), "500 fields");
    assert_eq!(get(served.address, "/metrics").await.status, 200);
}

#[tokio::test]
async fn garbage_and_other_protocols_get_an_error_or_nothing() {
    let served = served(quick()).await;
    let mut noise = Vec::new();
    for n in 0..64_u32 {
        noise.push(n.wrapping_mul(2_654_435_761).to_le_bytes().repeat(64));
    }
    noise.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    noise.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    noise.push(b"GET http://[::bad HTTP/1.1\r\n\r\n".to_vec());
    noise.push(
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n"
            .to_vec(),
    );
    noise.push(vec![b'\n'; 100_000]);
    for bytes in noise {
        let answer = raw(served.address, &bytes).await;
        assert!(answer.is_none_or(|a: Answer| a.status >= 400));
    }
    assert_eq!(get(served.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_cut() {
    let limits = HttpLimits { connections: 1, grace: Duration::from_secs(60), ..quick() };
    let served = served(limits).await;
    let mut greedy = TcpStream::connect(served.address).await.unwrap();
    // Answers worth far more than the socket buffers, none of them read.
    for _ in 0..2000 {
        if greedy.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.is_err() {
            break;
        }
    }
    // The only place is free again, although the greedy one is still there.
    let started = Instant::now();
    assert_eq!(get(served.address, "/healthz").await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(20));
    drop(greedy);
}

const LARGE_BYTES: usize = 8 << 20;

/// Small, so that a server is stuck at once, and goes on with each little that is read.
const SMALL_BUFFER_BYTES: u32 = 16 << 10;

/// Every copy of `/connections` is another one, and counted.
fn served_large(limits: HttpLimits, buffer_bytes: u32) -> (Served, Arc<AtomicUsize>) {
    let limits = HttpLimits { share_connections_for: Duration::ZERO, ..limits };
    let socket = TcpSocket::new_v4().unwrap();
    // Those that it accepts inherit it.
    socket.set_send_buffer_size(buffer_bytes).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let copies = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&copies);
    let large = move |_: &_| {
        counted.fetch_add(1, Ordering::Relaxed);
        "x".repeat(LARGE_BYTES)
    };
    (Served::on(socket.listen(1024).unwrap(), exporter(), limits, Box::new(large)), copies)
}

/// Has asked for `/connections` and read the first byte of the answer.
async fn slow_reader(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER_BYTES).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(b"GET /connections HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    timeout(DEADLINE, stream.read_exact(&mut [0])).await.unwrap().unwrap();
    stream
}

#[tokio::test]
async fn a_reader_who_takes_a_little_now_and_then_is_cut_as_well() {
    let limits = HttpLimits { connections: 1, grace: Duration::from_secs(60), ..quick() };
    let (served, _) = served_large(limits, SMALL_BUFFER_BYTES);
    let mut slow = slow_reader(served.address).await;
    let drip = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(1..) = slow.read(&mut buffer).await {
            // A write is never stuck for as long as an answer may take.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    // At this rate the whole takes minutes; the only place is free long before that.
    let started = Instant::now();
    assert_eq!(get(served.address, "/healthz").await.status, 503, "nothing was observed");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    drip.abort();
}

#[tokio::test]
async fn each_answer_of_a_connection_has_its_own_time() {
    let limits = HttpLimits { write_timeout: Duration::from_secs(2), ..HttpLimits::default() };
    let (served, copies) = served_large(limits, 1 << 20);
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let mut buffer = vec![0; 1 << 20];
    let started = Instant::now();
    // More answers than fit into the time of one.
    while started.elapsed() < Duration::from_millis(2500) {
        stream.write_all(b"GET /connections HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut taken = 0;
        while taken < LARGE_BYTES {
            let n = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
            assert!(n > 0, "cut after {:?}", started.elapsed());
            taken += n;
        }
    }
    assert!(copies.load(Ordering::Relaxed) > 1);
}

#[tokio::test]
async fn readers_who_take_their_time_hold_few_copies() {
    let limits = HttpLimits { write_timeout: Duration::from_secs(2), ..HttpLimits::default() };
    let (served, copies) = served_large(limits, SMALL_BUFFER_BYTES);
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(slow_reader(served.address).await);
    }
    let made = copies.load(Ordering::Relaxed);
    assert!((1..10).contains(&made), "{made} copies for 100 readers");
    // Their time is over: whoever asks gets what is new.
    let started = Instant::now();
    while copies.load(Ordering::Relaxed) == made {
        assert!(started.elapsed() < DEADLINE, "no new copy");
        slow.push(slow_reader(served.address).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_scrapes_at_once_are_all_answered_in_bounded_memory() {
    let served = served(HttpLimits::default()).await;
    let length = get(served.address, "/metrics").await.body.len() as u64;
    let before = resident_bytes();
    let started = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let address = served.address;
        // Counted, not kept: the clients live in this process too and their memory is not the server's.
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let (mut total, mut buffer) = (0_u64, vec![0; 4096]);
            loop {
                match timeout(DEADLINE, stream.read(&mut buffer)).await.expect("in time").unwrap() {
                    0 => return total,
                    n => total += n as u64,
                }
            }
        });
    }
    let mut answered = 0;
    while let Some(total) = clients.join_next().await {
        answered += u64::from(total.unwrap() > length / 2);
    }
    let grown = resident_bytes().saturating_sub(before);
    println!(
        "1000 scrapes of {length} bytes in {:?}, resident memory +{} KiB",
        started.elapsed(),
        grown / 1024
    );
    assert_eq!(answered, 1000);
    assert!(grown < 64 << 20, "{grown} bytes; a copy for each would be {}", 1000 * length);
}

#[tokio::test]
async fn an_answer_under_way_at_shutdown_is_finished() {
    let mut served = served(HttpLimits::default()).await;
    let mut scraper = TcpStream::connect(served.address).await.unwrap();
    scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // One byte of the answer is here: it is under way.
    let mut first = [0];
    timeout(DEADLINE, scraper.read_exact(&mut first)).await.unwrap().unwrap();
    served.stop();
    let mut rest = Vec::new();
    timeout(DEADLINE, scraper.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("h2watch_build_info"), "the answer is whole");
    timeout(DEADLINE, &mut served.server).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn idle_and_stuck_clients_do_not_delay_the_end() {
    let mut served = served(HttpLimits::default()).await;
    let idle = TcpStream::connect(served.address).await.unwrap();
    let mut half = TcpStream::connect(served.address).await.unwrap();
    half.write_all(b"GET /met").await.unwrap();
    assert_eq!(get(served.address, "/healthz").await.status, 200);
    let started = Instant::now();
    served.stop();
    timeout(DEADLINE, &mut served.server).await.expect("the server ends").unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    drop((idle, half));
}
