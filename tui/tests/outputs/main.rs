//! What people and programs get to see, from snapshots that are built by hand: no probe, no clock, no rights.

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod json;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod table;
#[cfg(test)]
mod terminal;
