use super::*;

fn head(bytes: &[u8]) -> [u8; 16] {
    let mut head = [0; 16];
    let n = bytes.len().min(16);
    head[..n].copy_from_slice(&bytes[..n]);
    head
}

fn connection(cookie: u64) -> Connection {
    Connection { cookie, ..Connection::default() }
}

#[test]
fn an_object_is_bound_by_its_first_vote_and_bound_anew_by_a_majority() {
    let (mut object, mut seven, mut nine) = (Object::default(), connection(7), connection(9));
    assert!(object.vote(0xa, &mut seven, 1));
    assert!(!object.vote(0xa, &mut seven, 1));
    assert!(!object.vote(0xa, &mut nine, 2) && !object.vote(0xa, &mut nine, 2));
    assert_eq!((object.cookie, object.slot), (7, 1));
    assert!(object.vote(0xa, &mut nine, 2));
    assert_eq!((object.cookie, object.slot, object.votes), (9, 2, 1));
}

#[test]
fn wrong_votes_now_and_then_change_no_binding_however_many_they_are() {
    let (mut a, mut seven) = (Object::default(), connection(7));
    let (mut b, mut nine) = (Object::default(), connection(9));
    assert!(a.vote(0xa, &mut seven, 1) && b.vote(0xb, &mut nine, 2));
    for _ in 0..100 {
        assert!(!a.vote(0xa, &mut seven, 1) && !b.vote(0xb, &mut nine, 2));
        assert!(!a.vote(0xa, &mut nine, 2));
    }
    assert_eq!((a.cookie, b.cookie, nine.tls_object), (7, 9, 0xb));
}

#[test]
fn a_connection_of_another_object_is_not_taken_by_a_new_one() {
    let (mut a, mut b, mut seven) = (Object::default(), Object::default(), connection(7));
    assert!(a.vote(0xa, &mut seven, 1) && !a.vote(0xa, &mut seven, 1));
    assert!(!b.vote(0xb, &mut seven, 1));
    assert_eq!((b.cookie, seven.tls_object, seven.tls_votes), (0, 0xa, 1));
    let mut nine = connection(9);
    assert!(b.vote(0xb, &mut nine, 2));
}

#[test]
fn forked_processes_and_their_neighbours_have_names_of_their_own() {
    let key = |address, tgid| ObjectKey { address, tgid, pad: 0 };
    let names = [key(0x7f00_1230, 77), key(0x7f00_1230, 78), key(0x7f00_1240, 77)].map(|key| key.name());
    assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
}

#[test]
fn a_preface_begins_http2_and_an_http1_request_never_does() {
    let mut object = Object::default();
    assert!(object.begin_write(&head(b"PRI * HTTP/2.0\r\n"), 24));
    assert_eq!((object.sent.state, object.sent.left), (FRAMES, PREFACE_LEN));
    let mut http1 = Object::default();
    for _ in 0..20 {
        assert!(!http1.begin_write(&head(b"GET / HTTP/1.1\r\n"), 100));
    }
    assert_eq!((http1.state, http1.is_refuted()), (OTHER, true));
    assert!(!http1.begin_read(&head(b"HTTP/1.1 200 OK\r\n"), 100));
}

#[test]
fn one_request_of_http1_speaks_against_http2_until_a_frame_is_written() {
    for request in [&b"GET / HTTP/1.1\r\n"[..], b"OPTIONS * HTTP/1", b"DELETE /a HTTP/1", b"PUT http://h/a b"]
    {
        let mut object = Object::default();
        assert!(!object.begin_write(&head(request), 75) && object.is_refuted());
        assert!(object.begin_write(&head(&[0, 0, 4, 3, 0, 0, 0, 0, 5]), 13) && !object.is_refuted());
    }
    for other in [&b"AB /"[..], b"GET\t/", b"hello, world", b"ABCDEFGHIJKLMNOP", b"{\"GET /\": 1}", &[0; 16]]
    {
        let mut object = Object::default();
        assert!(!object.begin_write(&head(other), 75) && !object.is_refuted());
    }
}

#[test]
fn a_connection_is_joined_where_a_write_begins_with_a_frame_that_ends_in_it() {
    // RST_STREAM on stream 5.
    let reset = head(&[0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 8]);
    assert!(Object::default().begin_write(&reset, 13));
    assert!(!Object::default().begin_write(&reset, 12));
    let mut joined = Object::default();
    assert!(joined.begin_write(&reset, 13));
    assert!(joined.begin_read(&head(b"middle of a body"), 5000));
    assert_eq!(joined.received.state, SCANNING);
}

#[test]
fn what_an_empty_write_finishes_is_known_by_its_beginning() {
    let mut object = Object::default();
    let (first, other) = (head(b"0123456789abcdef"), head(b"0123456789abcdeg"));
    object.leave_unfinished(0x7f00, 100, &first);
    assert!(object.is_as_it_was(100, &first) && object.is_as_it_was(1, &first));
    assert!(!object.is_as_it_was(101, &first) && !object.is_as_it_was(100, &other));
}

#[test]
fn settings_may_be_read_before_the_preface_is_written() {
    let mut object = Object::default();
    assert!(object.begin_read(&head(&[0, 0, 12, 4, 0, 0, 0, 0, 0]), 21));
    object.received_waiting.count = 1;
    assert!(object.begin_write(&head(b"PRI * HTTP/2.0\r\n"), 70));
    assert_eq!((object.received.state, object.received_waiting.count), (FRAMES, 1));
}

#[test]
fn a_new_preface_at_the_same_address_is_a_new_connection() {
    let mut object = Object::default();
    assert!(object.begin_write(&head(b"PRI * HTTP/2.0\r\n"), 24));
    object.sent.left = 0;
    object.vote(0xa, &mut connection(7), 1);
    assert!(object.begin_write(&head(b"PRI * HTTP/2.0\r\n"), 24));
    assert_eq!((object.cookie, object.votes, object.state), (0, 0, HTTP2));
}
