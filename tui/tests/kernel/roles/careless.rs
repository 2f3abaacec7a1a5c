//! A client that minds nothing: `careless ADDRESS INTERVAL-MS`. Opens a stream per interval, whatever the server says, GOAWAY
//! included. After a line on its standard input it reads no more. `careless.py` and `careless.go` do the same with TLS.

use crate::support::frames;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub(super) fn play(arguments: &[&str]) {
    let [address, interval] = arguments else { panic!("two arguments") };
    let interval = Duration::from_millis(interval.parse().expect("a number of milliseconds"));
    let socket = TcpStream::connect(address).expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    let reader = socket.try_clone().expect("a descriptor");
    let writer = Arc::new(Mutex::new(socket));
    let answers = Arc::clone(&writer);
    let deaf = Arc::<AtomicBool>::default();
    let told = Arc::clone(&deaf);
    thread::spawn(move || {
        let heard = io::stdin().read_line(&mut String::new()).is_ok_and(|n| n > 0);
        told.store(heard, Ordering::Relaxed);
    });
    thread::spawn(move || read(reader, &answers, &deaf));
    // The server went away: so does this.
    let _ = open_streams(&writer, interval);
}

fn open_streams(writer: &Mutex<TcpStream>, interval: Duration) -> io::Result<()> {
    {
        let mut socket = writer.lock().unwrap();
        io::Write::write_all(&mut *socket, frames::PREFACE)?;
        frames::write(&mut *socket, frames::SETTINGS, 0, 0, &[])?;
    }
    println!("\nCONNECTED");
    for stream in (1..).step_by(2) {
        let flags = frames::END_HEADERS | frames::END_OR_ACK;
        frames::write(&mut *writer.lock().unwrap(), frames::HEADERS, flags, stream, frames::REQUEST)?;
        thread::sleep(interval);
    }
    Ok(())
}

fn read(mut socket: TcpStream, writer: &Mutex<TcpStream>, deaf: &AtomicBool) -> io::Result<()> {
    while !deaf.load(Ordering::Relaxed) {
        let frame = frames::read(&mut socket)?;
        frames::acknowledge(&mut *writer.lock().unwrap(), &frame)?;
    }
    // The descriptor stays open.
    std::mem::forget(socket);
    Ok(())
}
