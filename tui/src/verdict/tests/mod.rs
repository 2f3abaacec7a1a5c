//! Verdicts on staged connections: faults get their cause, healthy clients get no alarm, and nothing flaps.

mod calm;
mod faults;
mod pings;
mod property;
mod rate;
pub(super) mod stage;
mod unseen;
mod waiting;
