//! A long way between client and server: each byte arrives later by the same time.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Accepts on a free port and hands everything on after `one_way`. It lives until the process ends.
pub(crate) fn start(upstream: SocketAddr, one_way: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(upstream) else { continue };
            for (from, to) in [(&client, &server), (&server, &client)] {
                from.set_nodelay(true).expect("a TCP socket");
                carry(
                    from.try_clone().expect("a descriptor"),
                    to.try_clone().expect("a descriptor"),
                    one_way,
                );
            }
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream, one_way: Duration) {
    let (sender, under_way) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n) = from.read(&mut buffer) {
            if sender.send((Instant::now() + one_way, buffer[..n].to_vec())).is_err() || n == 0 {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in under_way {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if bytes.is_empty() || to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
