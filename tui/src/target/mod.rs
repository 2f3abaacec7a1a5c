//! What is watched: from a selector to processes, cgroups and their names.

pub mod identity;
pub mod resolve;
