//! What a table holds, and what it has done.

/// What a table holds, in bytes, and what it has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries.
    pub entries: usize,
    /// Bytes of all entries.
    pub entry_bytes: usize,
    /// Bytes held: the sum of the three below.
    pub held_bytes: usize,
    /// Bytes of the pages with entries, and with the tags of those that are in the index itself.
    pub page_bytes: usize,
    /// Bytes of the pages with the index's lines, where those lead to entries elsewhere, and of the segment array.
    pub index_bytes: usize,
    /// Bytes of the tables of pages, stacks and sizes.
    pub directory_bytes: usize,
    /// Segments of the index.
    pub segments: usize,
    /// Segments split so far.
    pub splits: u64,
    /// Segments merged so far.
    pub merges: u64,
    /// Blocks of memory got so far.
    pub blocks_got: u64,
    /// Blocks of memory given back so far.
    pub blocks_returned: u64,
}
