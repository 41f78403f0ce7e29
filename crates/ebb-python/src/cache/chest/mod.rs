//! What a cache holds behind its lock, and the operations on it.

mod expiry;
mod insertion;
mod removal;
mod room;
pub(crate) mod state;
