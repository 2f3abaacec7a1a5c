//! The real binary on the real kernel: h2watch watches real HTTP/2 clients, and its lines are compared with what independent
//! counters saw. Needs root, cgroup v2 and what `cargo xtask setup` installs; a test that lacks something fails and says so.
//!
//! One file per topic; `support` has the machinery, `roles` the programs that a test starts as processes of their own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "the functions around the tests may fail a test as well, and figures are printed"
)]

mod roles;
mod support;

mod alerting;
mod attach;
mod check;
mod contention;
mod counts;
mod dashboard;
mod demo;
mod doctor;
mod errors;
mod exporter;
mod faults;
mod loss;
mod quiet;
mod record;
mod recordings;
mod reset;
mod reset_quiet;
mod ring;
mod soak;
mod stall;
mod testrun;
mod tls;
mod tls_life;
