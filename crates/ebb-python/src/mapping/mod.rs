//! What the classes `Map` and `Cache` have in common.

pub(crate) mod arrays;
pub(crate) mod bulk;
pub(crate) mod iter;
pub(crate) mod methods;
pub(crate) mod pairs;
pub(crate) mod slots;
