//! The class `Map`.

mod batches;
mod bulk;
pub(crate) mod class;
pub(crate) mod fast;
pub(crate) mod iter;
mod methods;
