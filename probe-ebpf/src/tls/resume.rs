//! GnuTLS takes a write that would block, and may be told to finish it by an empty one (`gnutls_record_send(session, NULL, 0)`),
//! which returns how many bytes of the first one were sent. They are walked then, if they are still where they were.

use probe_common::loss::UNASSOCIATED;
use probe_common::tls::{Call, LIBRARY_GNUTLS, Object};

use super::plain;
use crate::maps::lost;

/// Where the `count` bytes are that a write has sent; `None` when it sent nothing, or they are not there any more.
#[inline(always)]
pub fn buffer(object: *mut Object, call: &Call, count: u32) -> Option<u64> {
    // SAFETY: the object of the current call.
    let object = unsafe { &mut *object };
    if count == 0 {
        if object.library == LIBRARY_GNUTLS
            && call.buffer != 0
            && let Some(head) = plain::head(call.buffer, call.length)
        {
            object.leave_unfinished(call.buffer, call.length, &head);
        }
        return None;
    }
    let unfinished = object.unfinished;
    object.unfinished = 0;
    if call.buffer != 0 {
        return Some(call.buffer);
    }
    if unfinished != 0
        && let Some(head) = plain::head(unfinished, object.unfinished_length)
        && object.is_as_it_was(count, &head)
    {
        return Some(unfinished);
    }
    lost(UNASSOCIATED);
    plain::miss_sent(object);
    None
}
