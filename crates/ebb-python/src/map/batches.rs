//! Many keys of a map without objects in one hold of the lock.

use crate::kinds::new::{Key, New, Value};
use crate::table::batches::in_batches;
use crate::table::store::Store;
use ebb::OutOfMemory;
use std::convert::Infallible;

/// Set many keys of an inline map. The new ones first, then the others are written over, which takes memory only where
/// values vary in size. Where memory runs out, the new ones go again.
pub(super) fn set_all<'a>(
    store: &mut Store,
    count: usize,
    key_at: impl Fn(usize) -> Key<'a>,
    value_at: impl Fn(usize) -> Value<'a>,
) -> Result<(), OutOfMemory> {
    let mut new = Vec::new();
    let set = set_new(store, count, &key_at, &value_at, &mut new);
    let done = set.and_then(|others| overwrite_all(store, &others, &key_at, &value_at));
    if done.is_err() {
        for &i in new.iter().rev() {
            remove_one(store, &key_at(i)); // the last one noted may not have got in
        }
    }
    done
}

/// Insert those that are `new`; which are not.
fn set_new<'a>(
    store: &mut Store,
    count: usize,
    key_at: &impl Fn(usize) -> Key<'a>,
    value_at: &impl Fn(usize) -> Value<'a>,
    new: &mut Vec<usize>,
) -> Result<Vec<usize>, OutOfMemory> {
    let mut others = Vec::new();
    let hash_at = |i| key_at(i).hash();
    in_batches(store, count, hash_at, |store, i, hash| {
        let key = key_at(i);
        let is_new = store.find_inline(hash, &key).is_none();
        let list = if is_new { &mut *new } else { &mut others };
        list.try_reserve(1).map_err(|_| OutOfMemory)?;
        list.push(i);
        if is_new { store.insert(New { hash, key: &key, value: &value_at(i) }) } else { Ok(()) }
    })?;
    Ok(others)
}

/// Write over the values of keys that are there, in their order.
fn overwrite_all<'a>(
    store: &mut Store,
    others: &[usize],
    key_at: &impl Fn(usize) -> Key<'a>,
    value_at: &impl Fn(usize) -> Value<'a>,
) -> Result<(), OutOfMemory> {
    let hash_at = |i| key_at(others[i]).hash();
    in_batches(store, others.len(), hash_at, |store, i, hash| {
        let key = key_at(others[i]);
        let found = store.find_inline(hash, &key).expect("found a moment ago");
        store.overwrite(found, New { hash, key: &key, value: &value_at(others[i]) }).map(drop)
    })
}

/// Remove a key of an inline map; whether it was there.
fn remove_one(store: &mut Store, key: &Key<'_>) -> bool {
    let found = store.find_inline(key.hash(), key);
    found.map(|found| store.remove_inline(found)).is_some()
}

/// Remove many keys of an inline map; how many were there. A key that changes meanwhile, in an array that is written to,
/// counts as absent.
pub(super) fn remove_all<'a>(store: &mut Store, count: usize, key_at: impl Fn(usize) -> Key<'a>) -> usize {
    let mut removed = 0;
    let hash_at = |i| key_at(i).hash();
    let Ok(()) = in_batches(store, count, hash_at, |store, i, hash| {
        if let Some(found) = store.find_inline(hash, &key_at(i)) {
            store.remove_inline(found);
            removed += 1;
        }
        Ok::<_, Infallible>(())
    });
    removed
}
