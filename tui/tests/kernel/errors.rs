//! Bad input and bad surroundings: a clear sentence, the right exit status, nothing left behind.

mod attached;
mod cgroups;
mod command;
mod refusals;
mod slots;
