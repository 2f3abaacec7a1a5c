//! The kernel programs' own diagnostics (aya-log), kept as sentences.

use std::sync::{Arc, Mutex, PoisonError};

use log::{Log, Metadata, Record};

/// More sentences than this are not kept between two looks: they repeat.
const KEPT: usize = 64;

/// Where the programs' log lines go.
#[derive(Clone, Debug, Default)]
pub(super) struct Diagnostics(Arc<Mutex<Vec<String>>>);

impl Diagnostics {
    /// Takes what has gathered.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log for Diagnostics {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < KEPT {
            lines.push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}
