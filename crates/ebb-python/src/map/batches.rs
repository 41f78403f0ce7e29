//! Many keys of a map without objects in one hold of the lock.

use crate::kinds::new::{Key, New, Value};
use crate::table::batches::in_batches;
use crate::table::store::{Found, Store};
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
        let is_new = !store.has_inline(hash, &key);
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
        let mut found = Found::inline(store, hash, &key).unwrap_or_else(|_| unreachable!("found a moment ago"));
        found.overwrite(New { hash, key: &key, value: &value_at(others[i]) }).map(drop)
    })
}

/// Remove a key of an inline map; whether it was there.
fn remove_one(store: &mut Store, key: &Key<'_>) -> bool {
    Found::inline(store, key.hash(), key).map(Found::remove_inline).is_ok()
}

/// Remove many keys of an inline map; how many were there. A key that changes meanwhile, in an array that is written to,
/// counts as absent.
pub(super) fn remove_all<'a>(store: &mut Store, count: usize, key_at: impl Fn(usize) -> Key<'a>) -> usize {
    let mut removed = 0;
    let hash_at = |i| key_at(i).hash();
    let Ok(()) = in_batches(store, count, hash_at, |store, i, hash| {
        if let Ok(found) = Found::inline(store, hash, &key_at(i)) {
            found.remove_inline();
            removed += 1;
        }
        Ok::<_, Infallible>(())
    });
    removed
}
