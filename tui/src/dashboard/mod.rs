//! The live screen. [`draw`] is a function of a snapshot and the state of the screen: it reads no clock, no map and changes
//! nothing. [`UiState::handle`] turns keys into a new state and effects; the run loop applies the effects. Only this folder
//! knows ratatui and crossterm.
//!
//! ```text
//! Terminal::inputs() ──Input──> UiState::handle ──Effect──> run loop
//! Snapshot ──────────────────> Terminal::draw(&Snapshot, &UiState)
//! ```

mod keys;
mod state;
mod terminal;
mod theme;
mod view;

pub use keys::{Effect, Input};
pub use state::{Banner, Message, UiState};
pub use terminal::{Inputs, Terminal};
pub use theme::Theme;
pub use view::draw;
