//! `cargo xtask`: what developers and CI do.

fn main() {}
