//! The walker as the kernel runs it, over byte streams cut into segments in every way.

mod order;
mod script;
mod split;
mod tls;
