//! Entries are added to a store: written in its layout, with a reference counted for each object.

use crate::kinds::entry::Entry;
use crate::kinds::layout::Layout;
use crate::kinds::new::{Key, New};
use crate::kinds::plain::keep;
use crate::kinds::typed::{TypedKey, TypedValue};
use crate::table::store::{Store, check_value, rehasher};
use ebb::{Deadlines, OutOfMemory, RawTable};
use pyo3::prelude::*;

/// Writes an entry with a key of fixed size.
#[inline(always)]
fn writer<K: TypedKey, V: TypedValue>(hash: u64, key: K::Key<'_>, value: V::Value<'_>) -> impl FnOnce(&mut [u8]) {
    #[inline(always)]
    move |entry: &mut [u8]| {
        let (front, rest) = entry.split_at_mut(K::BYTES);
        K::write(key, hash, front);
        V::write(value, rest);
    }
}

impl Store {
    /// Add an entry whose key a search has not found.
    #[inline]
    pub(crate) fn insert(&mut self, new: New<'_>) -> Result<(), OutOfMemory> {
        self.insert_by(new, |table, layout, len| {
            table.insert(new.hash, len, &|entry| layout.hash(entry), |entry| layout.write(entry, new))
        })
    }

    /// As [`insert`](Self::insert), where the kinds are known and were [checked](Self::check_typed).
    #[inline(always)]
    pub(super) fn insert_typed<K: TypedKey, V: TypedValue>(
        &mut self,
        hash: u64,
        key: K::Key<'_>,
        value: V::Value<'_>,
    ) -> Result<(), OutOfMemory> {
        if K::BYTES == 0 {
            return self.insert(New { hash, key: &K::key(key), value: &V::value(value) });
        }
        let Store { layout, table, .. } = self;
        table.insert(hash, K::BYTES + V::len(value), &rehasher::<K>(layout), writer::<K, V>(hash, key, value))?;
        self.keep_typed::<K, V>(key, value);
        Ok(())
    }

    /// Add a copy of an entry of another store of the same layout.
    pub(crate) fn insert_copy(&mut self, py: Python<'_>, hash: u64, entry: Entry<'_>) -> Result<(), OutOfMemory> {
        let (layout, bytes) = (self.layout, entry.bytes());
        assert!(layout == entry.layout());
        let write = |to: &mut [u8]| to.copy_from_slice(bytes);
        self.table.insert(hash, bytes.len(), &|entry| layout.hash(entry), write)?;
        self.overhead += layout.overhead(bytes);
        entry.objects().for_each(|object| object.keep(py));
        Ok(())
    }
}

impl Store<ebb::Cache> {
    /// Add an entry whose key a search has not found, to expire at some moment.
    pub(crate) fn insert_until(&mut self, new: New<'_>, deadlines: Deadlines) -> Result<(), OutOfMemory> {
        self.insert_by(new, |table, layout, len| {
            let rehash = |entry: &[u8]| layout.hash(entry);
            table.insert_until(new.hash, len, deadlines, &rehash, |entry| layout.write(entry, new))
        })
    }

    /// As [`insert_until`](Self::insert_until), for keys of a fixed size, where the kinds are known.
    #[inline(always)]
    pub(crate) fn insert_typed_until<K: TypedKey, V: TypedValue>(
        &mut self,
        hash: u64,
        key: K::Key<'_>,
        value: V::Value<'_>,
        deadlines: Deadlines,
    ) -> Result<(), OutOfMemory> {
        self.check_typed::<K, V>();
        let Store { layout, table, .. } = self;
        let (len, write) = (K::BYTES + V::len(value), writer::<K, V>(hash, key, value));
        table.insert_until(hash, len, deadlines, &rehasher::<K>(layout), write)?;
        self.keep_typed::<K, V>(key, value);
        Ok(())
    }
}

impl<T: RawTable> Store<T> {
    /// Whether the table has keys and values of these kinds.
    #[inline(always)]
    pub(super) fn check_typed<K: TypedKey, V: TypedValue>(&self) {
        self.check_key::<K>();
        check_value::<V>(&self.layout);
    }

    /// An entry of these has been written to stay.
    #[inline(always)]
    fn keep_typed<K: TypedKey, V: TypedValue>(&mut self, key: K::Key<'_>, value: V::Value<'_>) {
        K::keep(key);
        V::keep(value);
        self.changes += 1;
    }

    /// Add an entry whose key a search has not found; `put` puts it into the table.
    #[inline]
    fn insert_by(
        &mut self,
        new: New<'_>,
        put: impl FnOnce(&mut T, &Layout, usize) -> Result<(), OutOfMemory>,
    ) -> Result<(), OutOfMemory> {
        let Store { layout, table, .. } = &mut *self;
        assert!(layout.takes(new));
        put(table, layout, layout.entry_len(new))?;
        match new.key {
            Key::Text(text) => self.overhead += self.layout.prefix(text.len()),
            Key::Object(object, _) => keep(object),
            Key::Int(_) => {}
        }
        new.value.keep();
        self.changes += 1;
        Ok(())
    }
}
