//! `aya::Pod`, once, with the argument why it holds.

use crate::event::{Event, FrameEvent};
use crate::settings::Settings;
use crate::slot::Slot;
use crate::tls::{Object, ObjectKey};

// SAFETY: all are repr(C), hold only fixed-width integers and arrays of them, and any bit pattern is a value.
unsafe impl aya::Pod for Slot {}
// SAFETY: as above.
unsafe impl aya::Pod for Settings {}
// SAFETY: as above.
unsafe impl aya::Pod for Event {}
// SAFETY: as above.
unsafe impl aya::Pod for FrameEvent {}
// SAFETY: as above.
unsafe impl aya::Pod for ObjectKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Object {}
