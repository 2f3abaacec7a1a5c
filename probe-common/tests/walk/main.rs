//! The walker as the kernel runs it, over byte streams cut into segments in every way.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod given_up;
mod join;
mod order;
mod script;
mod split;
mod tls;
mod values;
