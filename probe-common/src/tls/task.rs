//! The writes of a task that may be on their way to a socket, and the records that they may be in.

/// Bytes that encryption adds: TLS 1.3 (content type, tag), TLS 1.2 AES-GCM (nonce, tag), TLS 1.2 ChaCha20-Poly1305 (tag).
const OVERHEADS: [u32; 3] = [17, 24, 16];
/// Longest plaintext of one record (RFC 8446, section 5.1).
pub(super) const MAX_PLAINTEXT: u32 = 16_384;
/// Writes of a task that stay candidates after they returned (memory BIOs are sent later); a power of two.
pub const RECENT: usize = 8;
/// How long a write that returned stays a candidate: it is sent next, so milliseconds are generous (an estimate). Without an
/// end, connections that all write the same length would keep each other ambiguous for ever.
const FRESH_NS: u64 = 2_000_000;

/// A write that may be on its way to a socket. `length` 0: none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    pub object: u64,
    pub at_ns: u64,
    pub tgid: u32,
    pub length: u32,
}

/// The last writes of a task (kernel `task_struct`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Task {
    /// The write that has not returned.
    pub current: Written,
    pub written: u32,
    pub pad: u32,
    pub recent: [Written; RECENT],
}

const _: () = assert!(size_of::<Task>() == 32 + 24 * RECENT);

/// True when a record with `payload` bytes may hold `length` bytes of plaintext, and not as many as any record may have.
#[inline(always)]
#[must_use]
pub fn record_fits(length: u32, payload: u32) -> bool {
    if length == 0 || length >= MAX_PLAINTEXT {
        return false;
    }
    let added = payload.wrapping_sub(length);
    added == OVERHEADS[0] || added == OVERHEADS[1] || added == OVERHEADS[2]
}

impl Task {
    /// Notes a write that begins.
    #[inline(always)]
    pub fn note(&mut self, written: Written) {
        self.current = written;
        self.recent[self.written as usize & (RECENT - 1)] = written;
        self.written = self.written.wrapping_add(1);
    }

    /// The write that a record of `payload` bytes belongs to: the one in progress, else the only object among the recent
    /// fresh ones. `None` when there is none, or more than one object. A write that fits into the record is used up.
    #[inline(always)]
    pub fn writer_of(&mut self, payload: u32, now_ns: u64) -> Option<Written> {
        if record_fits(self.current.length, payload) {
            let current = self.current;
            self.use_up(current.object, payload);
            return Some(current);
        }
        let mut found = Written::default();
        let mut i = 0;
        while i < RECENT {
            let candidate = self.recent[i];
            let fresh = now_ns.wrapping_sub(candidate.at_ns) < FRESH_NS;
            if fresh && record_fits(candidate.length, payload) {
                if found.length != 0 && found.object != candidate.object {
                    return None;
                }
                found = candidate;
            }
            i += 1;
        }
        if found.length == 0 {
            return None;
        }
        self.use_up(found.object, payload);
        Some(found)
    }

    #[inline(always)]
    fn use_up(&mut self, object: u64, payload: u32) {
        let mut i = 0;
        while i < RECENT {
            let candidate = &mut self.recent[i];
            if candidate.object == object && record_fits(candidate.length, payload) {
                candidate.length = 0;
                return;
            }
            i += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrote(object: u64, length: u32) -> Written {
        Written { object, at_ns: 1000, tgid: 1, length }
    }

    #[test]
    fn records_fit_their_plaintext_under_the_three_ciphers() {
        for added in OVERHEADS {
            assert!(
                record_fits(100, 100 + added) && record_fits(MAX_PLAINTEXT - 1, MAX_PLAINTEXT - 1 + added)
            );
            assert!(!record_fits(MAX_PLAINTEXT, MAX_PLAINTEXT + added), "every upload has such records");
            assert!(!record_fits(1 << 20, MAX_PLAINTEXT + added));
        }
        assert!(!record_fits(100, 100) && !record_fits(100, 118) && !record_fits(0, 17));
    }

    #[test]
    fn the_write_in_progress_wins_over_recent_ones_of_the_same_length() {
        let mut task = Task::default();
        task.note(wrote(0xa, 50));
        task.note(wrote(0xb, 50));
        assert_eq!(task.writer_of(67, 2000).unwrap().object, 0xb);
    }

    #[test]
    fn two_objects_with_the_same_length_abstain_after_their_writes_returned() {
        let mut task = Task::default();
        task.note(wrote(0xa, 50));
        task.note(wrote(0xb, 50));
        task.note(wrote(0xc, 99));
        task.current = Written::default();
        assert!(task.writer_of(67, 2000).is_none());
        assert_eq!(task.writer_of(99 + 24, 2000).unwrap().object, 0xc);
        assert!(task.writer_of(99 + 24, 2000).is_none(), "used up");
    }

    #[test]
    fn a_write_of_long_ago_no_longer_stands_in_the_way() {
        let mut task = Task::default();
        task.note(wrote(0xa, 50));
        task.note(Written { at_ns: 1000 + FRESH_NS, ..wrote(0xb, 50) });
        task.current = Written::default();
        assert_eq!(task.writer_of(67, 2000 + FRESH_NS).unwrap().object, 0xb);
    }
}
