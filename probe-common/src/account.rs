//! What a frame or record means for the slot.
