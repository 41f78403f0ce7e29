//! Instances that keys of memoized methods stand for without keeping them.
//!
//! Where instances compare by identity and can be referred to weakly, a key has the mark of the instance in its place.
//! When the instance dies, the entries whose keys have its mark are removed: a mark knows their hashes.

mod hashes;
pub(crate) mod mark;
pub(crate) mod table;
pub(crate) mod watch;
