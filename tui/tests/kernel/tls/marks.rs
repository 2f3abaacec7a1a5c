//! Marks that a client sends and that must be found nowhere, and the search for any piece of them.

use crate::support::tools;
use std::collections::HashSet;
use std::io::Read as _;
use std::process::Command;

/// Shortest piece that counts as found. By chance, eight given bytes are nowhere.
const PIECE: usize = 8;

#[derive(Debug)]
pub(super) struct Marks {
    pub(super) header: String,
    pub(super) body: String,
    /// The header's value as HPACK's Huffman code has it (RFC 7541, appendix B): most clients send that.
    header_coded: Vec<u8>,
    pieces: HashSet<[u8; PIECE]>,
}

impl Marks {
    /// New ones, at random.
    pub(super) fn new() -> Self {
        let (header, body) = (random_word(), random_word());
        let code = "import hpack.huffman as h, hpack.huffman_constants as c, sys; \
            sys.stdout.buffer.write(h.HuffmanEncoder(c.REQUEST_CODES, c.REQUEST_CODES_LENGTH).encode(sys.argv[1].encode()))";
        let coded =
            Command::new(tools::python()).args(["-c", code, &header]).output().expect("python starts");
        assert!(coded.status.success(), "{}", String::from_utf8_lossy(&coded.stderr));
        let header_coded = coded.stdout;
        let forms = [header.as_bytes(), body.as_bytes(), &header_coded];
        let pieces = forms.iter().flat_map(|form| form.windows(PIECE));
        let pieces = pieces.map(|piece| piece.try_into().expect("a piece")).collect();
        Self { header, body, header_coded, pieces }
    }

    /// Where a piece of a mark is.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        bytes.windows(PIECE).position(|window| {
            let window: [u8; PIECE] = window.try_into().expect("a window");
            self.pieces.contains(&window)
        })
    }

    /// True when these bytes, as they went over a connection, hold both marks whole.
    pub(super) fn are_both_in(&self, bytes: &[u8]) -> bool {
        memchr::memmem::find(bytes, self.body.as_bytes()).is_some() && self.header_is_in(bytes)
    }

    /// True when they hold the one of the header.
    pub(super) fn header_is_in(&self, bytes: &[u8]) -> bool {
        let has = |mark: &[u8]| memchr::memmem::find(bytes, mark).is_some();
        has(self.header.as_bytes()) || has(&self.header_coded)
    }
}

/// 40 letters and digits.
fn random_word() -> String {
    let mut bytes = [0; 40];
    let mut random = std::fs::File::open("/dev/urandom").expect("Linux has random numbers");
    random.read_exact(&mut bytes).expect("Linux has random numbers");
    let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    bytes.map(|byte| char::from(letters[usize::from(byte) % letters.len()])).iter().collect()
}

#[test]
fn a_piece_of_a_mark_is_found_wherever_it_is() {
    let marks = Marks::new();
    let forms = [marks.header.as_bytes(), marks.body.as_bytes(), &marks.header_coded];
    // A byte of a mark beside a cut piece of it would make that piece whole again.
    let foreign = (0..=u8::MAX).find(|byte| forms.iter().all(|form| !form.contains(byte)));
    let filler = vec![foreign.expect("marks have fewer bytes than there are"); 5000];
    assert_eq!(marks.find(&filler), None);
    for form in forms {
        for at in [0, 1, 777, 5000] {
            for piece in [&form[..PIECE], &form[5..5 + PIECE], &form[form.len() - PIECE..]] {
                let bytes = [&filler[..at], piece, &filler[at..]].concat();
                assert_eq!(marks.find(&bytes), Some(at));
                let cut = [&filler[..at], &piece[..PIECE - 1], &filler[at..]].concat();
                assert_eq!(marks.find(&cut), None, "seven bytes and a filler are no piece");
            }
        }
    }
    assert!(!marks.are_both_in(marks.body.as_bytes()));
    assert!(marks.are_both_in(&[marks.body.as_bytes(), &[0], &marks.header_coded].concat()));
}
