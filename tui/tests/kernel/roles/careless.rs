//! A client that minds nothing: `careless ADDRESS INTERVAL-MS READ-FOR-MS`. Opens a stream per interval, whatever the server
//! says, GOAWAY included. After READ-FOR-MS (0: never) it reads no more, and says `DEAF nanoseconds`.

use crate::support::frames;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(super) fn play(arguments: &[&str]) {
    let [address, interval, read_for] = arguments else { panic!("three arguments") };
    let ms = |word: &str| Duration::from_millis(word.parse().expect("a number of milliseconds"));
    let (interval, read_for) = (ms(interval), ms(read_for));
    let socket = TcpStream::connect(address).expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    let reader = socket.try_clone().expect("a descriptor");
    let writer = Arc::new(Mutex::new(socket));
    let answers = Arc::clone(&writer);
    thread::spawn(move || read(reader, &answers, read_for));
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

fn read(mut socket: TcpStream, writer: &Mutex<TcpStream>, read_for: Duration) -> io::Result<()> {
    let started = Instant::now();
    while read_for.is_zero() || started.elapsed() < read_for {
        let frame = frames::read(&mut socket)?;
        frames::acknowledge(&mut *writer.lock().unwrap(), &frame)?;
    }
    println!("\nDEAF {}", crate::support::now_ns());
    // The descriptor stays open.
    std::mem::forget(socket);
    Ok(())
}
