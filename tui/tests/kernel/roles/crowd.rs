//! A client with very many connections: `crowd PORT DESTINATIONS CONNECTIONS`. They go in turn to loopback addresses, each has
//! its request answered and stays open; says `CONNECTED n`, and waits to be killed.

use crate::support::frames;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};

pub(super) fn play(arguments: &[&str]) {
    let numbers: Vec<u32> = arguments.iter().map(|word| word.parse().expect("a number")).collect();
    let [port, destinations, connections] = numbers[..] else { panic!("three numbers") };
    super::allow_descriptors(u64::from(connections) + 100);
    let port = u16::try_from(port).expect("a port");
    let open = |n| connect(destination(n % destinations), port).expect("the server answers");
    let crowd: Vec<TcpStream> = (0..connections).map(open).collect();
    println!("\nCONNECTED {}", crowd.len());
    loop {
        std::thread::park();
    }
}

/// 127.77.x.y
fn destination(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 77, 0, 1)) + n)
}

fn connect(address: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect((address, port))?;
    let mut first = frames::PREFACE.to_vec();
    frames::write(&mut first, frames::SETTINGS, 0, 0, &[])?;
    let flags = frames::END_HEADERS | frames::END_OR_ACK;
    frames::write(&mut first, frames::HEADERS, flags, 1, frames::REQUEST)?;
    socket.write_all(&first)?;
    loop {
        let frame = frames::read(&mut socket)?;
        frames::acknowledge(&mut socket, &frame)?;
        if frame.kind == frames::HEADERS {
            return Ok(socket);
        }
    }
}
