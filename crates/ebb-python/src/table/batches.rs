//! Many keys in one hold of the lock: the cache lines of a batch are asked for before any is needed.

use crate::table::search::Holder;
use ebb::RawTable;

/// Keys that are asked for at a time.
const BATCH: usize = 32;

/// Call `each` with the place and hash of every key, batch by batch. The lines of the batch after next and the entries
/// of the next are on their way meanwhile.
#[inline]
pub(crate) fn in_batches<H: Holder, R>(
    holder: &mut H,
    count: usize,
    hash_at: impl Fn(usize) -> u64,
    mut each: impl FnMut(&mut H, usize, u64) -> Result<(), R>,
) -> Result<(), R> {
    let mut hashes = [[0; BATCH]; 3];
    let batches = count.div_ceil(BATCH);
    let places = |batch: usize| batch * BATCH..((batch + 1) * BATCH).min(count);
    for step in 0..batches + 2 {
        if step < batches {
            let coming = &mut hashes[step % 3];
            places(step).zip(&mut *coming).for_each(|(i, hash)| *hash = hash_at(i));
            holder.store().table.prefetch_lines(&coming[..places(step).len()]);
        }
        if (1..=batches).contains(&step) {
            holder.store().table.prefetch_entries(&hashes[(step - 1) % 3][..places(step - 1).len()]);
        }
        if let Some(batch) = step.checked_sub(2) {
            for (i, &hash) in places(batch).zip(&hashes[batch % 3]) {
                each(holder, i, hash)?;
            }
        }
    }
    Ok(())
}
