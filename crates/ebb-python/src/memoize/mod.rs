//! Functions whose results a cache keeps.

pub(crate) mod flight;
pub(crate) mod memo;
pub(crate) mod method;
