//! Where a walk over all entries is.

/// The place that a walk has come to. It stays good while entries are replaced, not when any is inserted or removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) segment: u32,
    pub(crate) line: u32,
    pub(crate) slot: u32,
}
