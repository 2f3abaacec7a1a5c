//! The process object (coverage), and the words for libraries and views.

use crate::model::sample::{self, Library, Transport, View};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Process<'a> {
    pid: u32,
    comm: &'a str,
    library: Option<&'static str>,
    view: &'static str,
    reason: &'a str,
}

impl<'a> Process<'a> {
    pub(super) fn new(process: &'a sample::Process) -> Self {
        Self {
            pid: process.pid,
            comm: &process.comm,
            library: process.library.map(Library::as_str),
            view: process.view.as_str(),
            reason: &process.reason,
        }
    }
}

/// `None` until the first payload byte was sent.
pub(super) fn transport(transport: Transport) -> Option<&'static str> {
    match transport {
        Transport::Unknown => None,
        Transport::H2c | Transport::Tls => Some(transport.as_str()),
    }
}

/// True where the view counts streams at all.
pub(super) fn counts_streams(view: View) -> bool {
    view != View::Records
}
