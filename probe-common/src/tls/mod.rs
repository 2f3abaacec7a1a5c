//! TLS objects of watched processes (`SSL *`, `gnutls_session_t`, Go's `*tls.Conn`): which socket each one belongs to, and
//! the walk of its plaintext.
//!
//! Nothing in a TLS library's memory is read to find the socket. A task that encrypts n bytes and then sends a record of n
//! bytes plus what encryption adds did both for one connection: such a record is a vote. Plaintext that is seen before the
//! first vote waits in the object as units, and is accounted when the socket is known.
//!
//! A vote can be wrong: the kernel sends what is queued on other connections, too, when a task is about to send (an
//! acknowledgement that is processed just then makes room). So the object and the connection both keep a majority, and a
//! binding takes both of them. Records of full length say nothing, because every upload has them.

mod task;

use core::sync::atomic::{Ordering, compiler_fence};

use crate::http2::{Bounds, FrameHeader, HEADER_LEN, PREFACE_LEN, plausible};
use crate::lane::{FRAMES, Lane, OPENING, SCANNING};
use crate::slot::Connection;
use task::MAX_PLAINTEXT;
pub use task::{RECENT, Task, Written, record_fits};

/// Units that wait for the socket to be known. Clients write a preface, SETTINGS, WINDOW_UPDATE and a few requests before
/// the first record leaves.
pub const WAITING: usize = 24;
/// Writes that begin with something else than a frame header until an object is taken for something else than HTTP/2.
const MAX_MISSES: u32 = 16;
/// A majority of so many votes needs no more.
pub const CERTAIN: u32 = 16;

/// CONNECT and OPTIONS; what a CONNECT asks for begins with a host, and is for no server of HTTP.
const LONGEST_METHOD: usize = 7;

/// `Object::state`: nothing was recognised yet.
pub const UNDECIDED: u32 = 0;
/// The client side of HTTP/2.
pub const HTTP2: u32 = 1;
/// Something else, or a server's side.
pub const OTHER: u32 = 2;

/// Libraries, as the cookie of a probe's link names them: bits 0 to 7. For Go, bits 32 and up are the bytes above the stack
/// pointer where `Conn.Read` keeps its receiver at the probe.
pub const LIBRARY_OPENSSL: u32 = 1;
pub const LIBRARY_GO: u32 = 2;
pub const LIBRARY_GNUTLS: u32 = 3;
pub const LIBRARY_BORINGSSL: u32 = 4;

/// Key of an object: forked processes have the same addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectKey {
    pub address: u64,
    pub tgid: u32,
    pub pad: u32,
}

impl ObjectKey {
    /// Key as a number. Addresses have their highest 16 bits all alike: there is room for the process.
    #[inline(always)]
    #[must_use]
    pub fn name(&self) -> u64 {
        self.address.rotate_left(16) ^ u64::from(self.tgid)
    }
}

/// A unit of plaintext that waits: arguments of a tally, with its time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Unit {
    pub what: u64,
    pub value: u64,
    pub at_ns: u64,
    pub stream: u32,
    pub pad: u32,
}

/// Units in their order. One writer: the path of the direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    pub count: u32,
    /// Units that found no room.
    pub lost: u32,
    pub units: [Unit; WAITING],
}

/// What is known of a TLS object.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Object {
    /// Socket that the votes say, 0 while unknown, and its slot.
    pub cookie: u64,
    pub slot: u32,
    pub state: u32,
    /// How many more votes there were for it than against it, up to `CERTAIN`.
    pub votes: u32,
    pub misses: u32,
    pub library: u32,
    /// 1 while what was written speaks against HTTP/2.
    pub refuted: u32,
    pub sent: Lane,
    pub received: Lane,
    pub sent_waiting: Waiting,
    pub received_waiting: Waiting,
    /// Held while something is read, and while what was read before is accounted by who binds the object.
    pub read_turn: u64,
    /// The write that would block and may be finished by an empty one (GnuTLS): its buffer, 0 for none, a hash of its first bytes,
    /// and its length.
    pub unfinished: u64,
    pub unfinished_hash: u64,
    pub unfinished_length: u32,
    pub pad: u32,
}

/// A call of a TLS function in progress.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    pub object: u64,
    pub buffer: u64,
    /// Where the function stores its count; 0 when it returns it.
    pub count_at: u64,
    pub length: u32,
    pub pad: u32,
}

const _: () = assert!(size_of::<ObjectKey>() == 16);
const _: () = assert!(size_of::<Unit>() == 32);
const _: () = assert!(size_of::<Object>().is_multiple_of(8));

#[inline(always)]
fn more(votes: u32) -> u32 {
    if votes < CERTAIN { votes + 1 } else { CERTAIN }
}

impl Object {
    /// Counts a vote for the connection in `slot` by the object of this `name`. Returns true when the object now belongs to
    /// it and did not before.
    #[inline(always)]
    pub fn vote(&mut self, name: u64, connection: &mut Connection, slot: u32) -> bool {
        if connection.tls_object == name {
            connection.tls_votes = more(connection.tls_votes);
        } else if connection.tls_votes == 0 {
            connection.tls_object = name;
            connection.tls_votes = 1;
        } else {
            connection.tls_votes -= 1;
        }
        if self.cookie == connection.cookie {
            self.votes = more(self.votes);
            return false;
        }
        if self.cookie != 0 && self.votes != 0 {
            self.votes -= 1;
            return false;
        }
        if connection.tls_object != name {
            return false;
        }
        // The slot first: a read that sees the new cookie with the old slot would take the binding for a stale one.
        self.slot = slot;
        compiler_fence(Ordering::Release);
        self.cookie = connection.cookie;
        self.votes = 1;
        true
    }

    /// Looks at the beginning of a write, of which `head` are the first bytes (zeros behind a shorter one). True: its
    /// frames can be walked.
    ///
    /// A connection that was open before is joined at a write that begins with a frame header, which all known clients' do
    /// (measured: curl, Node, httpx, Go; all writes of all of them).
    #[inline(always)]
    pub fn begin_write(&mut self, head: &[u8; 16], length: u32) -> bool {
        let at_boundary = self.sent.left == 0 && self.sent.have == 0;
        let preface =
            head[0] == b'P' && head[1] == b'R' && head[2] == b'I' && head[3] == b' ' && head[4] == b'*';
        if preface && (self.state != HTTP2 || at_boundary) {
            self.restart();
            self.state = HTTP2;
            self.sent.state = FRAMES;
            self.sent.left = PREFACE_LEN;
            return true;
        }
        if self.state != UNDECIDED {
            return self.state == HTTP2;
        }
        let header = header(head);
        let end = header.length.saturating_add(HEADER_LEN);
        // On evidence: a request or control frame that ends in this write, or exactly with it.
        let open = Bounds { highest_stream: 0, max_frame_size: MAX_PLAINTEXT, longest: MAX_PLAINTEXT };
        if length >= HEADER_LEN && plausible(&header, &open) && end <= length {
            self.state = HTTP2;
            self.refuted = 0;
            self.sent.state = FRAMES;
            self.received.state = SCANNING;
            return true;
        }
        self.misses += 1;
        if self.misses > MAX_MISSES {
            self.state = OTHER;
        }
        // Not final: a body of HTTP/2 that is joined in its middle may look like it.
        if self.state == OTHER || is_http1_request(head) {
            self.refuted = 1;
        }
        false
    }

    /// Whether what was written speaks against HTTP/2.
    #[inline(always)]
    #[must_use]
    pub fn is_refuted(&self) -> bool {
        self.refuted != 0 && self.state != HTTP2
    }

    /// The same for a read. The server's SETTINGS may be read before the client's preface is written.
    #[inline(always)]
    pub fn begin_read(&mut self, head: &[u8; 16], length: u32) -> bool {
        if self.received.state != OPENING {
            return self.state != OTHER;
        }
        let header = header(head);
        let settings = header.kind == 4 && header.flags == 0 && header.stream == 0 && header.reserved == 0;
        if length >= HEADER_LEN && settings && header.length.is_multiple_of(6) && header.length <= 6 * 32 {
            self.received.state = FRAMES;
            return self.state != OTHER;
        }
        if self.state == HTTP2 {
            self.received.state = SCANNING;
            return true;
        }
        false
    }

    /// Notes a write of `length` bytes at `buffer` that would block, of which `head` are the first bytes.
    #[inline(always)]
    pub fn leave_unfinished(&mut self, buffer: u64, length: u32, head: &[u8; 16]) {
        self.unfinished = buffer;
        self.unfinished_length = length;
        self.unfinished_hash = hash(head);
    }

    /// Whether the first of `count` bytes that an empty write finished are still where they were written from.
    #[inline(always)]
    #[must_use]
    pub fn is_as_it_was(&self, count: u32, head: &[u8; 16]) -> bool {
        count <= self.unfinished_length && self.unfinished_hash == hash(head)
    }

    /// Another connection begins at this address.
    #[inline(always)]
    pub fn restart(&mut self) {
        // Frames of its own that were read before its preface was written stay.
        if self.state != UNDECIDED {
            self.cookie = 0;
            self.votes = 0;
            self.received = Lane::default();
            self.sent_waiting.count = 0;
            self.received_waiting.count = 0;
        }
        self.sent = Lane::default();
        self.misses = 0;
        self.refuted = 0;
    }
}

/// Tells one beginning from another, and is no byte of it (multiplied by the golden ratio, as Fibonacci hashing does).
#[inline(always)]
fn hash(head: &[u8; 16]) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = GOLDEN;
    let mut i = 0;
    while i < 16 {
        hash = (hash ^ head[i] as u64).wrapping_mul(GOLDEN).rotate_left(29);
        i += 1;
    }
    hash
}

/// `GET /`, `OPTIONS *`: a method in capitals, and what is asked for (RFC 9112, section 3).
#[inline(always)]
fn is_http1_request(head: &[u8; 16]) -> bool {
    let mut i = 0;
    while i < LONGEST_METHOD && head[i].is_ascii_uppercase() {
        i += 1;
    }
    i >= 3 && head[i] == b' ' && matches!(head[i + 1], b'/' | b'*' | b'h')
}

#[inline(always)]
fn header(head: &[u8; 16]) -> FrameHeader {
    FrameHeader::parse(&[head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7], head[8]])
}

#[cfg(test)]
mod tests;
