//! What a cache holds behind its lock, and the operations on it.

pub(crate) mod expiry;
mod insertion;
mod removal;
mod room;
pub(crate) mod state;
