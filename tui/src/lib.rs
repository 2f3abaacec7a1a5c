//! h2watch: which HTTP/2 client connections take new streams while receiving no frames, and why.
//!
//! The folder is called `tui`, the package and the binary are `h2watch`; the dashboard is one output of several.
//!
//! ```text
//! target ──> probe-ebpf ──maps, ring──> probe/ ──Sample──> model/ ──Snapshot──> verdict/ ──┬─> dashboard/  terminal
//!            (kernel)                  (only aya)           ^  (pure)            (pure)    ├─> json/       lines
//!                                      record/ ─────────────┘                              ├─> export/     Prometheus
//!                                      (a recording)                                       └─> reset/      SOCK_DESTROY
//! ```
//!
//! Modules are listed in groups, in the order of that flow: facts, meaning, outputs and actions, the program around them.

pub mod diag;
pub mod probe;
pub mod record;
pub mod target;
pub mod tls;

pub mod model;
pub mod verdict;

pub mod dashboard;
pub mod export;
pub mod hooks;
pub mod json;
pub mod reset;
pub mod table;

pub mod cli;
pub mod demo;
pub mod descriptors;
pub mod doctor;
pub mod exit;
pub mod human;
pub mod kernel;
pub mod privileges;
pub mod run;
pub mod start;
