//! Tables with kinds, as a map and a cache have them: each operation is one step that runs no Python code.

pub(crate) mod batches;
pub(crate) mod contents;
pub(crate) mod dropped;
pub(crate) mod parts;
pub(crate) mod search;
pub(crate) mod store;
pub(crate) mod take;
