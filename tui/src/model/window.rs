//! HTTP/2 flow-control windows of the sending direction (RFC 9113, section 5.2): used up or not, and since when.

use super::sample::{Nanos, Reading, Transport, View};

/// The initial window of connections and streams (RFC 9113, section 6.9.2).
const INITIAL_BYTES: u64 = 65_535;

/// Which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Connection,
    /// The window of every stream that sent DATA.
    Streams {
        initial_bytes: u32,
    },
}

/// A window is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp {
    pub window: Window,
    pub granted_bytes: u64,
    pub since_ns: Nanos,
}

/// The next state.
#[must_use]
pub fn follow(before: Option<UsedUp>, reading: &Reading, now_ns: Nanos) -> Option<UsedUp> {
    let (window, granted_bytes) = used_up(reading)?;
    let went_on = before.filter(|b| b.window == window && b.granted_bytes == granted_bytes);
    Some(UsedUp { window, granted_bytes, since_ns: went_on.map_or(now_ns, |b| b.since_ns) })
}

/// Why windows cannot be added up, in words; `None` where every grant and every byte was seen. `joined_late`: the connection's
/// beginning was not seen at some time.
#[must_use]
pub fn unknown(reading: &Reading, joined_late: bool) -> Option<&'static str> {
    let (sent, received) = (&reading.sent, &reading.received);
    if reading.view != View::Frames {
        return Some("received frames are not seen");
    }
    if joined_late || reading.seeded {
        return Some("the connection's beginning was not seen");
    }
    // With TLS the plaintext is walked from the moment on at which the process is known. SETTINGS are the first frame of either
    // side (RFC 9113, section 3.4): the windows that were granted before them are the RFC's.
    if reading.transport != Transport::H2c && (sent.settings.is_none() || received.settings.is_none()) {
        return Some("the connection's SETTINGS were not seen");
    }
    if received.resyncing || received.holes_missed > 0 || sent.desyncs + received.desyncs > 0 {
        return Some("frames were missed");
    }
    None
}

fn used_up(reading: &Reading) -> Option<(Window, u64)> {
    let (sent, received) = (&reading.sent, &reading.received);
    if unknown(reading, false).is_some() || reading.streams.sending == 0 || sent.data_bytes == 0 {
        return None;
    }
    let granted_bytes = INITIAL_BYTES + received.window_granted;
    if sent.data_bytes >= granted_bytes {
        return Some((Window::Connection, granted_bytes));
    }
    // Streams are not followed one by one. But DATA that ends exactly at a multiple of the initial window, without any
    // WINDOW_UPDATE for a stream, and with that many streams opened, is no coincidence. They need not be open any more: a
    // client that gives a stuck upload up and tries again sends the same again.
    let initial_bytes =
        received.settings.map_or(INITIAL_BYTES as u32, |settings| settings.initial_window_size);
    let updates = received.frames.map_or(0, |frames| frames.window_update);
    let for_connection = u64::from(received.window_granted > 0);
    let whole = u64::from(initial_bytes);
    let exact_multiple =
        whole > 0 && sent.data_bytes % whole == 0 && sent.data_bytes / whole <= reading.streams.opened;
    (updates <= for_connection && exact_multiple)
        .then_some((Window::Streams { initial_bytes }, sent.data_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::Settings;
    use crate::model::staged::Staged;

    #[test]
    fn the_connection_window_is_used_up_until_more_is_granted() {
        let mut c = Staged::h2c(1, 0);
        c.open(2);
        c.reading.streams.sending = 2;
        c.reading.sent.data_bytes = 65_534;
        assert_eq!(follow(None, &c.reading, 5), None);
        c.reading.sent.data_bytes = 65_535;
        let used = follow(None, &c.reading, 5);
        assert_eq!(used.map(|u| (u.window, u.since_ns)), Some((Window::Connection, 5)));
        assert_eq!(follow(used, &c.reading, 9).map(|u| u.since_ns), Some(5));
        // One stream's window is still used up; a byte more proves that it was widened.
        c.reading.received.window_granted = 1_000;
        let used = follow(used, &c.reading, 9);
        assert_eq!(used.map(|u| u.window), Some(Window::Streams { initial_bytes: 65_535 }));
        c.reading.sent.data_bytes += 1;
        assert_eq!(follow(used, &c.reading, 9), None);
    }

    #[test]
    fn stream_windows_are_recognised_by_exact_multiples() {
        let mut c = Staged::h2c(1, 0);
        c.open(3);
        c.reading.streams.sending = 3;
        let settings =
            Settings { initial_window_size: 1_000, max_frame_size: 16_384, max_concurrent_streams: None };
        c.reading.received.settings = Some(settings);
        c.reading.sent.data_bytes = 2_000;
        let used = follow(None, &c.reading, 5);
        assert_eq!(used.map(|u| u.window), Some(Window::Streams { initial_bytes: 1_000 }));
        c.reading.sent.data_bytes = 2_001;
        assert_eq!(follow(None, &c.reading, 5), None);
        // More windows' worth than streams: some stream got a WINDOW_UPDATE that was not seen.
        c.reading.sent.data_bytes = 4_000;
        assert_eq!(follow(None, &c.reading, 5), None);
    }

    /// Real: uploads of 200,000 bytes, given up after a second and tried again, against a server that grants nothing.
    #[test]
    fn uploads_that_were_given_up_used_their_windows_all_the_same() {
        let mut c = Staged::h2c(1, 0);
        c.open(20);
        (c.reading.streams.in_flight, c.reading.streams.sending) = (10, 10);
        c.reading.received.window_granted = 1 << 30;
        c.reading.sent.data_bytes = 20 * 65_535;
        let used = follow(None, &c.reading, 5);
        assert_eq!(used.map(|u| u.window), Some(Window::Streams { initial_bytes: 65_535 }));
    }

    #[test]
    fn an_upload_that_ended_waits_for_no_window() {
        let mut c = Staged::h2c(1, 0);
        c.open(1);
        c.reading.sent.data_bytes = 65_535;
        assert_eq!(follow(None, &c.reading, 5), None);
    }

    #[test]
    fn nothing_is_said_where_grants_may_have_been_missed() {
        let mut c = Staged::h2c(1, 0);
        c.open(1);
        c.reading.streams.sending = 1;
        c.reading.sent.data_bytes = 100_000;
        c.reading.seeded = true;
        assert_eq!(follow(None, &c.reading, 5), None);
    }

    /// The process was found when its connection was open already: a window of 1 GiB may have been granted before.
    #[test]
    fn with_tls_both_sides_settings_must_have_been_seen() {
        let mut c = Staged::h2c(1, 0);
        c.open(1);
        c.reading.transport = Transport::Tls;
        c.reading.streams.sending = 1;
        c.reading.sent.data_bytes = 100_000;
        let settings =
            Settings { initial_window_size: 65_535, max_frame_size: 16_384, max_concurrent_streams: None };
        for (sent, received, known) in
            [(None, None, false), (None, Some(()), false), (Some(()), Some(()), true)]
        {
            c.reading.sent.settings = sent.map(|()| settings);
            c.reading.received.settings = received.map(|()| settings);
            assert_eq!(follow(None, &c.reading, 5).is_some(), known);
        }
    }
}
