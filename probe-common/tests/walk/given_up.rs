//! Streams that the client gives up: RST_STREAM with CANCEL, and no answer before it. They are the damage that verdicts tell.

use crate::script::{PREFACE, Wire, frame};
use probe_common::walk::{RECEIVED, SENT};

const RST_STREAM: u8 = 3;
const HEADERS: u8 = 1;
const CANCEL: u32 = 8;
const INTERNAL_ERROR: u32 = 2;

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

#[test]
fn only_cancelled_streams_without_an_answer_are_given_up() {
    let mut wire = Wire::new(1_000);
    let mut sent = [PREFACE, &frame(4, 0, 0, &[])].concat();
    for stream in (1..20).step_by(2) {
        sent.extend(frame(HEADERS, 5, stream, &[0x82; 11]));
    }
    let answers =
        [frame(4, 0, 0, &[]), frame(HEADERS, 4, 1, &[0x88]), frame(HEADERS, 5, 3, &[0x88])].concat();
    wire.deliver(SENT, 1_000, &sent, 0);
    wire.deliver(RECEIVED, 1_000, &answers, 0);
    let given_up = |wire: &Wire| (wire.slot.connection.sent.abandoned, wire.slot.connection.sent.resets);
    let mut seq = 1_000 + u32::try_from(sent.len()).unwrap();
    let mut say = |wire: &mut Wire, bytes: &[u8]| {
        wire.deliver(SENT, seq, bytes, 0);
        // A retransmission says nothing new.
        wire.deliver(SENT, seq, bytes, 0);
        seq += u32::try_from(bytes.len()).unwrap();
    };
    say(&mut wire, &reset(1, CANCEL));
    assert_eq!(given_up(&wire), (0, 1), "it had its response HEADERS");
    say(&mut wire, &reset(5, INTERNAL_ERROR));
    assert_eq!(given_up(&wire), (0, 2), "that is an error, and no lack of patience");
    say(&mut wire, &reset(101, CANCEL));
    assert_eq!(given_up(&wire), (0, 3), "it was never opened");
    say(&mut wire, &[reset(7, CANCEL), reset(9, CANCEL), reset(19, CANCEL)].concat());
    assert_eq!(given_up(&wire), (3, 6));
    // In pieces, as it may travel.
    for byte in reset(11, CANCEL) {
        say(&mut wire, &[byte]);
    }
    assert_eq!(given_up(&wire), (4, 7));
}
