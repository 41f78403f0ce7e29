//! The class `Cache`.
//!
//! * `moment`, `limits`, `settings`: the time, and what is fixed.
//! * `gone`: what has left, to be told and dropped after the lock. `refused`: why an operation could not be done.
//! * `step`, `chest`: what is under the lock, and each operation on it.
//! * `shared`, `sweeper`: what the process's sweeper knows of a cache, and does.
//! * `class`: an operation as Python sees it.
//! * `instances`: what stands in keys for instances that the cache does not keep.
//! * `iter`, `walks`, `copies`, `bulk`, `methods`: what Python calls. `fast`: shorter ways to the commonest of that.

mod bulk;
mod chest;
pub(crate) mod class;
mod copies;
pub(crate) mod fast;
pub(crate) mod gone;
pub(crate) mod instances;
pub(crate) mod iter;
mod limits;
mod methods;
mod moment;
mod refused;
mod settings;
mod shared;
mod step;
pub(crate) mod sweeper;
mod walks;
