//! A long way between two network namespaces: two tun devices, and threads that carry each packet from one to the other, later
//! or not at all. TCP itself sees the round trip and the loss, to the millisecond, whatever the machine has to do.

use super::netns::Namespace;
use super::tools::run;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const DEVICE: &str = "far0";

/// Two namespaces and the way between them; removed at the end.
#[derive(Debug)]
pub(crate) struct Far {
    pub(crate) client: Namespace,
    pub(crate) server: Namespace,
    flaps: Flaps,
}

/// What arrives at either end before this time is lost.
type Flaps = Arc<Mutex<Option<Instant>>>;

impl Far {
    pub(crate) fn new(one_way: Duration) -> Self {
        let (client, server) = Namespace::pair();
        let flaps = Flaps::default();
        let ends = [&client, &server].map(|namespace| {
            let end = namespace.inside(open);
            namespace.plug_in(DEVICE);
            end
        });
        for (from, to) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
            let end = |file: &File| file.try_clone().expect("a descriptor");
            carry(end(from), end(to), one_way, Arc::clone(&flaps));
        }
        Self { client, server, flaps }
    }

    /// From now on nothing passes for so long.
    pub(crate) fn flap(&self, length: Duration) {
        *self.flaps.lock().unwrap() = Some(Instant::now() + length);
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // Without its device a reader ends.
        for namespace in [&self.client, &self.server] {
            run("ip", &["-n", namespace.name(), "link", "delete", DEVICE]);
        }
    }
}

/// A tun device in the namespace of this thread, whose packets have no header of their own.
fn open() -> File {
    let file = File::options().read(true).write(true).open("/dev/net/tun").expect("/dev/net/tun");
    // SAFETY: an ifreq of zeros is an empty one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(DEVICE.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request outlives the call, which reads and writes one ifreq.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(made, 0, "a tun device: {}", std::io::Error::last_os_error());
    file
}

fn carry(mut from: File, mut to: File, one_way: Duration, flaps: Flaps) {
    let (sender, under_way) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut packet = vec![0; 64 * 1024];
        while let Ok(n) = from.read(&mut packet) {
            let now = Instant::now();
            let lost = flaps.lock().unwrap().is_some_and(|until| now < until);
            if !lost && sender.send((now + one_way, packet[..n].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, packet) in under_way {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // Before both ends are up, and after they are gone, nobody takes it.
            let _ = to.write(&packet);
        }
    });
}
