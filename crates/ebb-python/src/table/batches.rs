//! Many keys in one hold of the lock: the cache lines of a batch are asked for before any is needed.

use crate::table::store::Holder;
use ebb::RawTable;
use std::ops::Range;

/// Keys that are asked for at a time.
const BATCH: usize = 32;

/// Batches of the places up to a count.
struct Batches {
    count: usize,
}

impl Batches {
    fn len(&self) -> usize {
        self.count.div_ceil(BATCH)
    }

    fn places(&self, batch: usize) -> Range<usize> {
        batch * BATCH..((batch + 1) * BATCH).min(self.count)
    }
}

/// Call `each` with the place and hash of every key, batch by batch. The lines of the batch after next and the entries
/// of the next are on their way meanwhile.
#[inline]
pub(crate) fn in_batches<H: Holder, R>(
    holder: &mut H,
    count: usize,
    hash_at: impl Fn(usize) -> u64,
    mut each: impl FnMut(&mut H, usize, u64) -> Result<(), R>,
) -> Result<(), R> {
    let (mut hashes, batches) = ([[0; BATCH]; 3], Batches { count });
    for step in 0..batches.len() + 2 {
        if step < batches.len() {
            let (places, coming) = (batches.places(step), &mut hashes[step % 3]);
            places.clone().zip(&mut *coming).for_each(|(i, hash)| *hash = hash_at(i));
            holder.store().table().prefetch_lines(&coming[..places.len()]);
        }
        if (1..=batches.len()).contains(&step) {
            holder.store().table().prefetch_entries(&hashes[(step - 1) % 3][..batches.places(step - 1).len()]);
        }
        if let Some(batch) = step.checked_sub(2) {
            batches.places(batch).zip(&hashes[batch % 3]).try_for_each(|(i, &hash)| each(holder, i, hash))?;
        }
    }
    Ok(())
}
