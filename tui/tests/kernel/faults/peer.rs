//! A server that misbehaves in one way, from the moment it is told to.

use crate::support::frames::{self, Frame};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    Nothing,
    /// SETTINGS and PING are answered, streams are not.
    AnswersNoStream,
    /// No byte is read any more.
    StopsReading,
    /// From the beginning: no WINDOW_UPDATE at all.
    GrantsNothing,
    /// From the beginning: no WINDOW_UPDATE for a stream.
    GrantsNoStream,
    /// Nothing, and sends a PING each 300 ms.
    SendsPings,
    /// Sends GOAWAY, and answers only the streams before it.
    GoesAway,
}

/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.5.2).
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
/// The error code of a server that was sent too many PINGs or resets (section 7).
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 0xb];
/// Wide enough that HTTP/2 is never what stops an upload.
const WIDE: u32 = 1 << 30;

/// It lives until the process ends.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    struck: Arc<AtomicBool>,
}

impl Peer {
    pub(crate) fn start(misdeed: Misdeed) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").expect("a free port"), misdeed)
    }

    pub(crate) fn start_on(listener: TcpListener, misdeed: Misdeed) -> Self {
        let address = listener.local_addr().expect("a bound socket");
        let struck = Arc::<AtomicBool>::default();
        let shared = Arc::clone(&struck);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let struck = Arc::clone(&shared);
                // The client ends the connection.
                thread::spawn(move || serve(socket, misdeed, &struck));
            }
        });
        Self { address, struck }
    }

    /// From now on.
    pub(crate) fn strike(&self) {
        self.struck.store(true, Ordering::Relaxed);
    }
}

fn serve(mut socket: TcpStream, misdeed: Misdeed, struck: &AtomicBool) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut preface = [0; frames::PREFACE.len()];
    socket.read_exact(&mut preface)?;
    let grants = !matches!(misdeed, Misdeed::GrantsNothing | Misdeed::GrantsNoStream);
    let mut settings = Vec::new();
    if grants {
        settings.extend(INITIAL_WINDOW_SIZE);
        settings.extend(WIDE.to_be_bytes());
    }
    frames::write(&mut socket, frames::SETTINGS, 0, 0, &settings)?;
    if misdeed != Misdeed::GrantsNothing {
        frames::write(&mut socket, frames::WINDOW_UPDATE, 0, 0, &WIDE.to_be_bytes())?;
    }
    if misdeed == Misdeed::SendsPings {
        let mut socket = socket.try_clone()?;
        // Between two answers, which are written in one piece each.
        thread::spawn(move || {
            while frames::write(&mut socket, frames::PING, 0, 0, &[0; 8]).is_ok() {
                thread::sleep(Duration::from_millis(300));
            }
        });
    }
    let mut gone = false;
    loop {
        let frame = frames::read(&mut socket)?;
        let struck = struck.load(Ordering::Relaxed);
        if struck && misdeed == Misdeed::StopsReading {
            return stop_reading(socket);
        }
        frames::acknowledge(&mut socket, &frame)?;
        if struck && misdeed == Misdeed::GoesAway && !gone && frame.kind == frames::HEADERS {
            gone = true;
            let before = frame.stream.saturating_sub(2).to_be_bytes();
            frames::write(&mut socket, frames::GOAWAY, 0, 0, &[before, ENHANCE_YOUR_CALM].concat())?;
        }
        let mute = gone || (struck && misdeed == Misdeed::AnswersNoStream);
        if !mute && ends_a_request(&frame) {
            let flags = frames::END_HEADERS | frames::END_OR_ACK;
            frames::write(&mut socket, frames::HEADERS, flags, frame.stream, frames::RESPONSE)?;
        }
    }
}

/// The socket stays open, and its queue fills.
fn stop_reading(socket: TcpStream) -> io::Result<()> {
    std::mem::forget(socket);
    Ok(())
}

fn ends_a_request(frame: &Frame) -> bool {
    matches!(frame.kind, frames::HEADERS | frames::DATA) && frame.flags & frames::END_OR_ACK != 0
}
