//! Parts of a table, to be walked over with pauses between.

use crate::table::store::{Seen, Store};
use ebb::{OutOfMemory, RawTable};
use pyo3::prelude::*;

/// A part of a table: the entries whose hashes, read backwards, are in a range. As a hash never changes, an entry that is
/// there all along is in exactly one part, whatever is done to the table between the visits of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    first: u64,
    last: u64,
}

/// All parts of a table, in an order in which the low bits of hashes vary: so a copy fills evenly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    bits: u32,
    next: u64,
}

impl Parts {
    /// Entries of a part, about: looking at them takes some ten microseconds.
    const ENTRIES: usize = 256;

    /// Those of a table with so many entries.
    pub(crate) fn of(entries: usize) -> Self {
        Parts { bits: (entries / Parts::ENTRIES).max(1).ilog2(), next: 0 }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.next >> self.bits > 0 {
            return None;
        }
        let first = self.next.reverse_bits();
        self.next += 1;
        Some(Part { first, last: first | u64::MAX.checked_shr(self.bits).unwrap_or(0) })
    }
}

impl<T: RawTable> Store<T> {
    /// Call `visit` with every entry of a part of the table, and its hash. O(the part).
    pub(crate) fn visit_part(&self, part: Part, mut visit: impl FnMut(u64, Seen<'_, T>)) {
        let mut position = Some(part.first);
        while let Some(at) = position.filter(|&at| at <= part.last) {
            position = self.visit(at, |hash, seen| {
                if hash.reverse_bits() <= part.last {
                    visit(hash, seen);
                }
            });
        }
    }
}

impl Store {
    /// Add the entries of a part to a store of the same layout, which has none of them; how many they were. When memory
    /// runs out it has some of them.
    pub(crate) fn copy_part(&self, py: Python<'_>, part: Part, copy: &mut Store) -> Result<usize, OutOfMemory> {
        let mut done = Ok(0);
        self.visit_part(part, |hash, seen| {
            if let Ok(copied) = done {
                done = copy.insert_copy(py, hash, seen.entry()).map(|()| copied + 1);
            }
        });
        done
    }
}
