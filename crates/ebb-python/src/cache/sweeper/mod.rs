//! The one thread of the process that removes what has expired from caches nobody touches.
//!
//! It exists while there is a cache with something to expire, sleeps until the first entry may be due, and takes the
//! interpreter only where objects have to be dropped or `on_remove` called.

pub(crate) mod announce;
pub(crate) mod end;
pub(crate) mod forks;
mod leader;
mod state;
mod thread;
